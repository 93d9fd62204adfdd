"""Reference of the Ark API for the console's API pages."""

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
from .errors import INTERNAL as INTERNAL_CODE
from .errors import INVALID as INVALID_CODE
from .errors import NO_MODEL, REFUSED, SENSITIVE
from .request.fields import ImageRequest

PATH = "/api/v3/images/generations"
REASONS = REFUSED | {"unknown_model": (404, NO_MODEL)}

# How a request names a model file, by its kind.
MODELS = {"checkpoint": '"model": "{name}"', "lora": "<lora:{name}:1>", "embedding": "{name}"}


def reference(context: Context) -> Reference:
    body = {
        "model": context.checkpoint,
        "prompt": "a red circle on a blue background",
        "size": "256x256",
        "output_format": "png",
        "seed": 8,
    }
    return Reference(
        title=_("Volcengine Ark"),
        summary=_(
            "Image generation as Volcengine Ark serves Seedream; its SDKs work with this base URL and a key."
        ),
        authentication=_(
            "Authorization: Bearer <key id>:<secret>, or the bearer token that is shown beside a new secret."
        ),
        endpoints=(Endpoint("POST", PATH, _("Generate images of a prompt, or change an image.")),),
        tables=(FieldTable(PATH, rows_of(ImageRequest)),),
        errors=(
            ErrorRow(401, "AuthenticationError", UNAUTHORIZED),
            ErrorRow(403, "AccessDenied", FORBIDDEN),
            ErrorRow(400, INVALID_CODE, INVALID),
            ErrorRow(413, INVALID_CODE, TOO_LARGE),
            *refusal_rows(lambda reason: REASONS.get(reason, (400, INVALID_CODE))),
            ErrorRow(400, SENSITIVE, _("The image was rejected by the NSFW policy.")),
            ErrorRow(500, INTERNAL_CODE, INTERNAL),
            ErrorRow(503, INTERNAL_CODE, UNAVAILABLE),
        ),
        call=examples.call(context, body),
    )


DESCRIPTION = Dialect(
    reference,
    examples.repeat,
    examples.express,
    examples.read,
    MODELS,
)
