"""Reference of the OpenAI Images API for the console's API pages."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from jobs.api_reference.dialects import Dialect
from jobs.api_reference.reference import Context, Endpoint, ErrorRow, FieldTable, Reference
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
from .request.fields import EditFields, GenerationFields, ImageFields, VariationFields

QUOTA, RATE, FORBIDDEN_CODE = "insufficient_quota", "rate_limit_exceeded", "permission_error"
REFUSED = {
    "quota_exhausted": (429, QUOTA),
    "budget_exhausted": (429, QUOTA),
    "queue_full": (429, RATE),
    "rate_limited": (429, RATE),
    "model_not_allowed": (403, FORBIDDEN_CODE),
    "source_disabled": (403, FORBIDDEN_CODE),
    "idempotency_conflict": (409, "idempotency_conflict"),
    "text_model_failed": (503, "text_model_failed"),
    "unknown_model": (404, "model_not_found"),
}
TABLES: dict[str, type[ImageFields]] = {
    "generations": GenerationFields,
    "edits": EditFields,
    "variations": VariationFields,
}
ENDPOINTS = (
    Endpoint("POST", "/v1/images/generations", _("Generate images of a prompt.")),
    Endpoint("POST", "/v1/images/edits", _("Change an image, or the masked part of it.")),
    Endpoint("POST", "/v1/images/variations", _("Variations of an image.")),
    Endpoint("GET", "/v1/images/generations/{id}", _("State of a job, its outputs and its estimated end.")),
    Endpoint("GET", "/v1/models", _("Models that the source may use.")),
)

# How a request names a model file, by its kind.
MODELS = {
    "checkpoint": '"model": "{name}"',
    "lora": '"loras": [{"name": "{name}", "weight": 1}]',
    "embedding": "{name}",
}


def reference(context: Context) -> Reference:
    body = {
        "model": context.checkpoint,
        "prompt": "a red circle on a blue background",
        "size": "256x256",
        "response_format": "b64_json",
        "seed": 8,
    }
    return Reference(
        title="OpenAI Images",
        summary=_(
            "The SDKs of OpenAI and what is written for them work with this base URL and a bearer token."
        ),
        authentication=_(
            "Authorization: Bearer <key id>:<secret>, or the bearer token that is shown beside a new secret."
        ),
        endpoints=ENDPOINTS,
        tables=[FieldTable(f"/v1/images/{name}", rows_of(model)) for name, model in TABLES.items()],
        errors=(
            ErrorRow(401, "invalid_api_key", UNAUTHORIZED),
            ErrorRow(403, FORBIDDEN_CODE, FORBIDDEN),
            ErrorRow(400, "invalid_value", INVALID),
            ErrorRow(413, "request_too_large", TOO_LARGE),
            *refusal_rows(lambda reason: REFUSED.get(reason, (400, reason))),
            ErrorRow(400, "moderation_blocked", _("The image was rejected by the NSFW policy.")),
            ErrorRow(500, "server_error", INTERNAL),
            ErrorRow(503, "server_error", UNAVAILABLE),
        ),
        call=examples.call(context, "generations", body),
    )


DESCRIPTION = Dialect(
    reference,
    examples.repeat,
    examples.express,
    examples.read,
    MODELS,
)
