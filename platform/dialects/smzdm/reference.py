"""Reference of the SMZDM API for the console's API pages."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from jobs.api_reference.dialects import Dialect
from jobs.api_reference.reference import Context, Endpoint, ErrorRow, FieldTable, Reference, Text
from jobs.api_reference.schema_fields import rows_of

from . import examples
from .errors import Code
from .request.fields import ChangeBackgroundFields, CutOutFields
from .request.submission import CHANGE_BACKGROUND

MEANINGS: dict[Code, Text] = {
    Code.PARAMETER: _("A parameter is missing, invalid, or above a limit of the source."),
    Code.IMAGE: _("An image cannot be fetched or decoded."),
    Code.MODEL: _("A model does not exist, or not for this source."),
    Code.GENERATION: _("The job failed, for instance because no product was found in the image."),
    Code.BUSY: _("The queue is full, a quota is used up, or the job did not end in time. See Retry-After."),
    Code.CALLER: _("The caller is not known, or may not call from its address; or the budget is used up."),
    Code.UNSUPPORTED: _("The installation does not support this."),
}
ENDPOINTS = (
    Endpoint("POST", f"/pictures/{CHANGE_BACKGROUND}", _("Replace the background of a product's image.")),
    Endpoint("POST", "/pictures/rembg_img", _("Remove the background of an image.")),
)

# How a request names a model file, by its kind.
MODELS = {
    "checkpoint": '"sd_model_checkpoint": "{name}"',
    "lora": '"sd_lora_name": ["{name}"], "sd_lora_weight": [1]',
    "controlnet": '"control_model": "{name}"',
    "matting": '"model": "{name}"',
}


def reference(context: Context) -> Reference:
    body = {"from": context.source.name, "img_url": context.image_url, "is_mask": False}
    return Reference(
        title="SMZDM",
        summary=_(
            "Product images: the background is replaced or removed, and the pixels of the product are kept."
        ),
        authentication=_(
            "Authorization: Bearer <key id>:<secret>, or HTTP Basic. Without a key: by the network of the caller."
        ),
        endpoints=ENDPOINTS,
        tables=(
            FieldTable(f"/pictures/{CHANGE_BACKGROUND}", rows_of(ChangeBackgroundFields)),
            FieldTable("/pictures/rembg_img", rows_of(CutOutFields)),
        ),
        errors=[ErrorRow(200, str(code.value), text) for code, text in MEANINGS.items()],
        call=examples.call(context, "rembg_img", body),
    )


DESCRIPTION = Dialect(
    reference,
    examples.repeat,
    examples.express,
    examples.read,
    MODELS,
)
