"""Reference of the Volcengine Visual API for the console's API pages."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from gpu_runner.protocol import MAX_SEED
from jobs.api_reference.dialects import Dialect
from jobs.api_reference.meanings import meaning_of
from jobs.api_reference.reference import Context, Endpoint, ErrorRow, FieldRow, FieldTable, Reference

from . import examples
from .actions import OPERATIONS
from .errors import GATEWAY, SERVICE
from .request.watermarks import AIGC_KEYS, CORNERS, MAX_TEXT_LENGTH, MAX_VALUE_LENGTH, OPACITY, TEXTS


def _choices(texts: Sequence[str]) -> str:
    return ", ".join(f"{number}: {text}" for number, text in enumerate(texts))


# The readers of request/ take values by name; types and limits are theirs.
FIELDS = (
    FieldRow("req_key", "string", required=True),
    FieldRow("sub_req_key", "string"),
    FieldRow("prompt", "string"),
    FieldRow("positive_prompt", "string"),
    FieldRow("custom_prompt", "string"),
    FieldRow("text", "string"),
    FieldRow("u_prompt", "string"),
    FieldRow("binary_data_base64", "array of string"),
    FieldRow("image_urls", "array of string"),
    FieldRow("strength", "number", allowed="≥ 0, ≤ 1"),
    FieldRow("seed", "integer", default="-1", allowed=f"≥ -1, ≤ {MAX_SEED}"),
    FieldRow("scale", "number", allowed="≥ 0, ≤ 100", meaning=meaning_of("guidance_scale")),
    FieldRow("ddim_steps", "integer", allowed="≥ 1"),
    FieldRow("steps", "integer", allowed="≥ 1"),
    FieldRow("lora_multipers", "number", allowed="≥ -2, ≤ 2"),
    FieldRow("lora_map", "object"),
    FieldRow("clip_skip", "integer", allowed="≥ 1, ≤ 3"),
    FieldRow("canny_weight", "number", meaning=meaning_of("controlnet")),
    FieldRow("controlnet_weight", "number", meaning=meaning_of("controlnet")),
    FieldRow(
        "i2i_keep_texture",
        "integer",
        allowed="0, 1",
        meaning=_("Begin with the input image instead of its colors."),
    ),
    FieldRow("long_resolution", "integer"),
    FieldRow("width", "integer"),
    FieldRow("height", "integer"),
    *(
        FieldRow(
            side, "number", allowed="≥ 0, ≤ 1", meaning=_("Share of the side that outpainting adds there.")
        )
        for side in ("left", "top", "right", "bottom")
    ),
    FieldRow("max_width", "integer", meaning=_("Largest size of the result of outpainting.")),
    FieldRow("max_height", "integer", meaning=_("Largest size of the result of outpainting.")),
    FieldRow("id_scale", "number", allowed="≥ 0, ≤ 1", meaning=_("No effect: faces cannot be kept.")),
    FieldRow("return_url", "boolean", default="false"),
    FieldRow("logo_info", "object"),
    FieldRow("logo_info.add_logo", "boolean", default="false"),
    FieldRow("logo_info.position", "integer", default="0", allowed=_choices(CORNERS)),
    FieldRow("logo_info.language", "integer", default="0", allowed=_choices(TEXTS)),
    FieldRow("logo_info.opacity", "number", default=str(OPACITY), allowed="≥ 0, ≤ 1"),
    FieldRow("logo_info.logo_text_content", "string", allowed=f"maxLength {MAX_TEXT_LENGTH}"),
    FieldRow("aigc_meta", "object"),
    *(
        FieldRow(
            f"aigc_meta.{name}", "string", name == "producer_id", allowed=f"maxLength {MAX_VALUE_LENGTH}"
        )
        for name in AIGC_KEYS
    ),
)
SUMMARIES = {
    "CVProcess": _("Generate images of a style and wait for them."),
    "CVSubmitTask": _("Submit a task."),
    "CVSync2AsyncSubmitTask": _("Submit a task."),
    "CVGetResult": _("State and images of a task."),
    "CVSync2AsyncGetResult": _("State and images of a task."),
    "CVCancelTask": _("Cancel a task."),
}


def reference(context: Context) -> Reference:
    body = {
        "req_key": context.style or "high_aes_general_v14",
        "prompt": "a red circle on a blue background",
        "seed": 8,
    }
    return Reference(
        title=_("Volcengine Visual"),
        summary=_(
            "The API of visual.volcengineapi.com: a style preset (req_key) decides models and parameters."
        ),
        authentication=_(
            "Volcengine's signature (HMAC-SHA256) with the key id as access key; the service is cv."
        ),
        endpoints=[
            Endpoint(
                "POST", f"/?Action={action}&Version={version}", SUMMARIES.get(action, SUMMARIES["CVProcess"])
            )
            for version, action in OPERATIONS
        ],
        tables=[FieldTable(_("Fields of the body"), [_with_meaning(row) for row in FIELDS])],
        errors=[
            *(ErrorRow(status, str(code), name) for code, (status, name) in SERVICE.items()),
            *(
                ErrorRow(status, code, text.replace("%s", "…"))
                for code, (status, _number, text) in GATEWAY.items()
            ),
        ],
        call=examples.call(context, body),
    )


def _with_meaning(row: FieldRow) -> FieldRow:
    meaning = row.meaning or meaning_of(row.name)
    return FieldRow(row.name, row.type, row.required, row.default, row.allowed, meaning)


DESCRIPTION = Dialect(
    reference,
    examples.repeat,
    examples.express,
    examples.read,
)
