"""base64_crop: stores an uploaded image, and returns a URL that later requests can use."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageOps

from dialects.stablediffusionapi.coercion import Invalid, flag, is_absent, text
from dialects.stablediffusionapi.errors import WireError, message_fields
from jobs.errors import InvalidImage
from jobs.images.input_files import open_image
from jobs.images.signed_urls import input_url
from jobs.images.storage import store_input

from .fields import field_label, required
from .images import decode_image, not_an_image

CROP_SIDE = 512  # pixels
UPLOADED = "image uploaded"


def upload(given: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """The response to an upload. Raises WireError."""
    errors: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    for name, coerce in (("image", text), ("crop", flag)):
        try:
            values[name] = None if is_absent(given.get(name)) else coerce(given[name])
        except Invalid as invalid:
            errors[name] = [f"The {field_label(name)} {invalid.reason}"]
    if values.get("image", "") is None:
        errors["image"] = [required("image")]
    if errors:
        raise WireError.invalid(errors)
    png = _as_png(decode_image("image", values["image"], bare=True), crop=bool(values["crop"]))
    return {
        "status": "success",
        **message_fields(UPLOADED),
        "link": input_url(store_input(png).sha256, base_url),
    }


def _as_png(data: bytes, *, crop: bool) -> bytes:
    """The image as PNG. ``crop``: its center, as a square of 512 pixels, the native size of Stable Diffusion 1.x."""
    try:
        image = open_image(data)
    except InvalidImage as refused:  # damaged beyond its header
        raise not_an_image("image", refused.message) from None
    if crop:
        image = ImageOps.fit(image, (CROP_SIDE, CROP_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
