"""Reference of the A1111 API for the console's API pages."""

from __future__ import annotations

import json
from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from jobs.api_reference.dialects import Dialect
from jobs.api_reference.meanings import meaning_of
from jobs.api_reference.reference import Context, Endpoint, ErrorRow, FieldRow, FieldTable, Link, Reference
from jobs.api_reference.refusals import INTERNAL, INVALID, TOO_LARGE, UNAUTHORIZED, UNAVAILABLE, refusal_rows

from . import examples
from .request import extras, interrogate
from .request.submission import FIELDS
from .schema.fields import Field

TYPES = {"mapping": "object", "array": "array", "strings": "array of string"}
DETAIL, VALUE_ERROR = "detail", "value_error.{}"
REFUSED = {
    "unknown_model": (500, "RuntimeError"),
    "queue_full": (429, DETAIL),
    "rate_limited": (429, DETAIL),
    "quota_exhausted": (429, DETAIL),
    "text_model_failed": (503, DETAIL),
    "bad_idempotency_key": (400, DETAIL),
    "idempotency_conflict": (409, DETAIL),
    "budget_exhausted": (402, DETAIL),
    "source_disabled": (403, DETAIL),
    "model_not_allowed": (403, DETAIL),
}
ENDPOINTS = (
    Endpoint("POST", "/sdapi/v1/txt2img", _("Generate images of a prompt.")),
    Endpoint("POST", "/sdapi/v1/img2img", _("Change an image, or the masked part of it.")),
    Endpoint("POST", f"/sdapi/v1/{extras.SINGLE}", _("Enlarge an image, or restore its faces.")),
    Endpoint("POST", f"/sdapi/v1/{extras.BATCH}", _("The same for several images.")),
    Endpoint("POST", "/sdapi/v1/interrogate", _("Describe an image by tags.")),
    Endpoint("GET", "/sdapi/v1/progress", _("Progress and preview of the running job.")),
    Endpoint("POST", "/sdapi/v1/interrupt", _("Stop the running job.")),
    Endpoint("GET", "/sdapi/v1/sd-models", _("Checkpoints that the source may use.")),
    Endpoint("GET", "/sdapi/v1/loras", _("LoRAs that the source may use.")),
    Endpoint("GET", "/sdapi/v1/samplers", _("Samplers; schedulers are listed in the same way.")),
    Endpoint("POST", "/sdapi/v1/png-info", _("Parameters of an image.")),
    Endpoint("POST", "/controlnet/detect", _("Control maps of images.")),
)

# How a request names a model file, by its kind.
MODELS = {
    "checkpoint": '"override_settings": {"sd_model_checkpoint": "{name}"}',
    "lora": "<lora:{name}:1>",
    "vae": '"override_settings": {"sd_vae": "{name}"}',
    "controlnet": '"alwayson_scripts": {"controlnet": {"args": [{"model": "{name}", …}]}}',
    "embedding": "{name}",
    "upscaler": '"hr_upscaler": "{name}"',
}


def reference(context: Context) -> Reference:
    body = {
        "prompt": "a red circle on a blue background",
        "width": 256,
        "height": 256,
        "steps": 20,
        "seed": 8,
    }
    tables = [FieldTable(f"/sdapi/v1/{name}", _rows(fields)) for name, fields in FIELDS.items()]
    tables += [FieldTable(f"/sdapi/v1/{extras.SINGLE}", _rows(extras.FIELDS))]
    tables += [FieldTable("/sdapi/v1/interrogate", _rows(interrogate.FIELDS))]
    return Reference(
        title="A1111",
        summary=_(
            "The API of AUTOMATIC1111's web UI: programs written for it work with this address and a key."
        ),
        authentication=_("HTTP Basic: the user name is the key id, the password its secret."),
        endpoints=ENDPOINTS,
        tables=tables,
        errors=(
            ErrorRow(401, DETAIL, UNAUTHORIZED),
            ErrorRow(422, "type_error.*", INVALID),
            ErrorRow(413, DETAIL, TOO_LARGE),
            *refusal_rows(lambda reason: REFUSED.get(reason, (422, VALUE_ERROR.format(reason)))),
            ErrorRow(500, "InternalError", INTERNAL),
            ErrorRow(503, DETAIL, UNAVAILABLE),
        ),
        call=examples.call(context, "txt2img", body),
        links=(Link("OpenAPI", "/docs"),),
    )


def _rows(fields: Mapping[str, Field]) -> list[FieldRow]:
    return [
        FieldRow(name, _type(field), False, _default(field), "", meaning_of(name))
        for name, field in fields.items()
    ]


def _type(field: Field) -> str:
    name = getattr(field.coerce, "__name__", "")
    return TYPES.get(name, name if name in ("string", "integer", "number", "boolean") else "any")


def _default(field: Field) -> str:
    return "" if field.default in (None, "", [], {}) else json.dumps(field.default)


DESCRIPTION = Dialect(
    reference,
    examples.repeat,
    examples.express,
    examples.read,
    MODELS,
)
