"""Reference of the stablediffusionapi.com dialect for the console's API pages."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from jobs.api_reference.dialects import Dialect
from jobs.api_reference.meanings import meaning_of
from jobs.api_reference.reference import Context, Endpoint, ErrorRow, FieldRow, FieldTable, Reference
from jobs.api_reference.refusals import INTERNAL, INVALID, TOO_LARGE, UNAUTHORIZED, UNAVAILABLE, refusal_rows

from . import examples
from .coercion import Between, Coercion, OneOf
from .endpoints import ENDPOINTS, Task
from .request import video_fields
from .request.editing_fields import EDITING
from .request.fields import FIELDS, REQUIRED
from .training.fields import FORMS

TYPES = {
    "text": "string",
    "short_text": "string",
    "flag": "boolean",
    "integer": "integer",
    "_seed": "integer",
    "number": "number",
    "numbers": "array of number",
    "names": "array of string",
    "_walk": "array of string",
    "track_id": "string",
    "images": "array of string",
}
SUMMARIES: dict[Task, str | Promise] = {
    "text2img": _("Generate images of a prompt."),
    "img2img": _("Change an image."),
    "inpaint": _("Generate the masked part of an image anew."),
    "controlnet": _("Generate images that follow a control image."),
    "super_resolution": _("Enlarge an image."),
    "removebg": _("Remove the background of an image."),
    "enlarge": _("Enlarge an image."),
    "outpaint": _("Continue an image beyond its edges."),
    "uncrop": _("Continue an image beyond its edges."),
    "mixture_canvas": _("Continue an image on a canvas."),
    "edit_inpaint": _("Generate the masked part of an image anew."),
    "object_removal": _("Remove the masked object of an image."),
    "pix2pix": _("Change an image by an instruction."),
    "magic_mix": _("Mix an image with a prompt."),
    "depth2img": _("Change an image and keep its depth."),
    "interior": _("Change the furniture of a room."),
    "text2video": _("Generate a video of a prompt, by a workflow template."),
    "img2video": _("Generate a video that begins with an image, by a workflow template."),
    "nsfw_check": _("Check an image for NSFW content."),
    "caption": _("Describe an image by tags."),
}
TRAININGS: tuple[tuple[str, Promise], ...] = (
    *((f"v3/{form}", _("Train a LoRA that only this source can use.")) for form in FORMS),
    ("v3/fine_tune_status/{id}", _("State and log of a training.")),
    ("v3/finetune_list", _("The trainings of the source, newest first.")),
    ("v3/cancel_training/{id}", _("Stop a training and keep nothing. The steps that were done are billed.")),
    ("v3/finetune/delete/{id}", _("Delete the LoRA of a training.")),
    *((f"sandbox/v3/{form}", _("The same checks, without a training.")) for form in FORMS),
    ("sandbox/v3/fine_tune_status/{id}", _("States of a training of the sandbox, which pass with the time.")),
)
KEY = FieldRow("key", "string", True, meaning=_("<key id>:<secret> of an access key."))
REFUSED = {
    "queue_full": (429, "error"),
    "rate_limited": (429, "error"),
    "quota_exhausted": (402, "error"),
    "budget_exhausted": (402, "error"),
    "text_model_failed": (503, "error"),
    "model_not_allowed": (403, "error"),
    "idempotency_conflict": (409, "error"),
    "source_disabled": (401, "error"),
}

# How a request names a model file, by its kind.
MODELS = {
    "checkpoint": '"model_id": "{name}"',
    "lora": '"lora_model": "{name}"',
    "vae": '"vae": "{name}"',
    "controlnet": '"controlnet_model": "{name}"',
    "embedding": '"embeddings_model": "{name}"',
}


def reference(context: Context) -> Reference:
    body = {
        "prompt": "a red circle on a blue background",
        "width": "256",
        "height": "256",
        "samples": "1",
        "num_inference_steps": "20",
        "seed": "8",
    }
    return Reference(
        title="stablediffusionapi.com",
        summary=_(
            "The API of stablediffusionapi.com (ModelsLab). Old editions answer errors with HTTP status 200."
        ),
        authentication=_("key: <key id>:<secret> in the body, in the query, or as a header."),
        endpoints=list(_endpoints()),
        tables=list(_tables()),
        errors=(
            ErrorRow(401, "error", UNAUTHORIZED),
            ErrorRow(400, "error", INVALID),
            ErrorRow(413, "error", TOO_LARGE),
            *refusal_rows(lambda reason: REFUSED.get(reason, (400, "error"))),
            ErrorRow(200, "failed", _("The job failed; tip has the reason.")),
            ErrorRow(500, "error", INTERNAL),
            ErrorRow(503, "error", UNAVAILABLE),
        ),
        call=examples.call(context, "v3/text2img", body),
    )


def _endpoints() -> Iterator[Endpoint]:
    for path, endpoint in ENDPOINTS.items():
        yield Endpoint("POST", f"/api/{path}", SUMMARIES[endpoint.task])
    for path in dict.fromkeys(endpoint.fetch for endpoint in ENDPOINTS.values()):
        yield Endpoint("POST", f"/api/{path}/{{id}}", _("Result of a request that was still processing."))
    yield Endpoint("POST", "/api/v4/dreambooth/model_list", _("Models that the source may use."))
    for path, summary in TRAININGS:
        yield Endpoint("POST", f"/api/{path}", summary)


def _tables() -> Iterator[FieldTable]:
    required = {name for names in REQUIRED.values() for name in names}
    title = _("Fields of all endpoints. Required fields depend on the endpoint: prompt, images and masks.")
    yield FieldTable(title, [KEY, *(_row(name, coerce) for name, coerce in FIELDS.items())])
    for task, fields in (EDITING | video_fields.FIELDS).items():
        if fields:
            paths = [f"/api/{path}" for path, endpoint in ENDPOINTS.items() if endpoint.task == task]
            rows = [
                _row(name, coerce, name in REQUIRED[task] and name in required)
                for name, coerce in fields.items()
            ]
            yield FieldTable(", ".join(paths), rows)
    for name, form in FORMS.items():
        rows = [_row(field, coerce, field in form.needed) for field, coerce in form.fields.items()]
        yield FieldTable(f"/api/v3/{name}", [KEY, *rows])


def _row(name: str, coerce: Coercion, required: bool = False) -> FieldRow:
    allowed = ""
    if isinstance(coerce, Between):
        allowed = f"≥ {coerce.minimum}, ≤ {coerce.maximum}"
    elif isinstance(coerce, OneOf):
        allowed = ", ".join(coerce.choices)
    return FieldRow(name, _type(coerce), required, "", allowed, meaning_of(name))


def _type(coerce: Coercion) -> str:
    if isinstance(coerce, Between):
        return _type(coerce.coerce)
    return "string" if isinstance(coerce, OneOf) else TYPES.get(getattr(coerce, "__name__", ""), "integer")


DESCRIPTION = Dialect(
    reference,
    examples.repeat,
    examples.express,
    examples.read,
    MODELS,
)
