"""Reference of the native API for the console's API pages."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from jobs.api_reference.dialects import Dialect
from jobs.api_reference.reference import Context, Endpoint, ErrorRow, FieldTable, Link, Reference
from jobs.api_reference.refusals import (
    FORBIDDEN,
    INTERNAL,
    INVALID,
    TOO_LARGE,
    UNAUTHORIZED,
    UNAVAILABLE,
    refusal_rows,
)
from jobs.api_reference.schema_fields import rows_of

from . import examples
from .errors import REFUSED
from .request.submission import JobRequest

ENDPOINTS = (
    Endpoint("POST", "/api/v1/jobs", _("Submit a job.")),
    Endpoint("GET", "/api/v1/jobs", _("List the jobs of the source.")),
    Endpoint("GET", "/api/v1/jobs/{id}", _("State of a job, its outputs and its estimated end.")),
    Endpoint(
        "GET", "/api/v1/jobs/{id}/events", _("State changes, progress and previews as server-sent events.")
    ),
    Endpoint("GET", "/api/v1/jobs/{id}/outputs/{index}", _("An image.")),
    Endpoint(
        "GET",
        "/api/v1/jobs/{id}/outputs/{index}/capsule",
        _("Everything that decides the pixels of an image."),
    ),
    Endpoint("POST", "/api/v1/jobs/{id}/cancel", _("Cancel a job; interrupt and skip work in the same way.")),
    Endpoint("POST", "/api/v1/pictures", _("Upload an input image.")),
    Endpoint(
        "POST", "/api/v1/quote", _("Cost of a request, and every reason for which it would be refused.")
    ),
    Endpoint("GET", "/api/v1/models", _("Models that the source may use.")),
    Endpoint("GET", "/api/v1/samplers", _("Samplers; schedulers are listed in the same way.")),
    Endpoint("GET", "/api/v1/usage", _("Use of the quotas.")),
    Endpoint("POST", "/api/v1/reproduce", _("Generate the image of a capsule again, and compare it.")),
    Endpoint("POST", "/api/v1/labels/read", _("Labels of an image or video.")),
)
ERRORS = (
    ErrorRow(401, "unauthorized", UNAUTHORIZED),
    ErrorRow(403, "forbidden", FORBIDDEN),
    ErrorRow(422, "invalid", INVALID),
    ErrorRow(404, "not_found", _("The job does not exist, or belongs to another source.")),
    ErrorRow(413, "too_large", TOO_LARGE),
    *refusal_rows(lambda reason: (REFUSED.get(reason, 422), reason)),
    ErrorRow(500, "internal", INTERNAL),
    ErrorRow(503, "unavailable", UNAVAILABLE),
)

# How a request names a model file, by its kind.
MODELS = {
    "checkpoint": '"checkpoint": "{name}"',
    "lora": '"loras": [{"name": "{name}", "weight": 1}]',
    "vae": '"vae": "{name}"',
    "controlnet": '"controls": [{"model": "{name}", "image": …}]',
    "embedding": "{name}",
    "upscaler": '"upscaler": "{name}"',
}


def reference(context: Context) -> Reference:
    body = {
        "prompt": "a red circle on a blue background",
        "width": 256,
        "height": 256,
        "num_inference_steps": 20,
        "seed": 8,
    }
    return Reference(
        title=_("Native API"),
        summary=_(
            "New clients should use this API: a request becomes a job that can be queried and cancelled."
        ),
        authentication=_("Authorization: Bearer <key id>:<secret>, or HTTP Basic."),
        endpoints=ENDPOINTS,
        tables=(FieldTable(_("Fields of POST /api/v1/jobs"), rows_of(JobRequest)),),
        errors=ERRORS,
        call=examples.call(context, body),
        links=(Link("OpenAPI", "/api/v1/docs"), Link("openapi.json", "/api/v1/openapi.json")),
    )


DESCRIPTION = Dialect(
    reference,
    examples.repeat,
    examples.express,
    examples.read,
    MODELS,
    expresses_all_jobs=True,
)
