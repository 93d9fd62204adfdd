"""base64_crop, upload_image and base64_to_url store an image, and return a URL that later requests can use."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from PIL import Image, ImageOps

from dialects.stablediffusionapi.coercion import Coercion, Invalid, flag, is_absent, one_of, text
from dialects.stablediffusionapi.errors import WireError, message_fields
from gpu_runner.protocol.images import files as image_files
from gpu_runner.protocol.images.files import few_at_a_time
from jobs.errors import InvalidImage
from jobs.images.input_files import open_image
from jobs.images.signed_urls import input_url
from jobs.images.storage import store_input

from .fields import field_label, required
from .images import decode_image, not_an_image

CROP_SIDE = 512  # pixels
UPLOADED = "image uploaded"
IMAGE_TYPES = {"png": "PNG", "jpeg": "JPEG", "jpg": "JPEG"}


def upload(given: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """The response to an upload. Raises WireError."""
    values = _parsed(given, {"image": text, "crop": flag}, ("image",))
    png = _as_png(decode_image("image", values["image"], bare=True), crop=bool(values["crop"]))
    return {
        "status": "success",
        **message_fields(UPLOADED),
        "link": input_url(store_input(png).sha256, base_url),
    }


def upload_of_type(given: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """The response to upload_image, of which the vendor documents no field for the URL. Raises WireError."""
    fields = {"base64_image": text, "image_type": one_of(*IMAGE_TYPES)}
    values = _parsed(given, fields, tuple(fields))
    data = decode_image("base64_image", values["base64_image"], bare=True)
    with image_files.opened(data) as image:
        found = str(image.format)
    if found != IMAGE_TYPES[values["image_type"]]:
        texts = {"expected": values["image_type"], "found": found.lower()}
        message = _("The base64 image must be of the type %(expected)s, but is %(found)s.") % texts
        raise WireError.invalid({"base64_image": [message]})
    url = _stored_url(data, "base64_image", base_url)
    return {"status": "success", **message_fields(UPLOADED), "link": url, "output": [url]}


def stored_base64(given: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """The response to base64_to_url. Its ``id`` names the image: the same image has the same one. Raises WireError."""
    values = _parsed(given, {"base64_string": text}, ("base64_string",))
    data = decode_image("base64_string", values["base64_string"], bare=True)
    url = _stored_url(data, "base64_string", base_url)
    number = int.from_bytes(hashlib.sha256(data).digest()[:4]) >> 1
    return {"status": "success", **message_fields(UPLOADED), "id": number, "output": [url]}


def _stored_url(data: bytes, name: str, base_url: str) -> str:
    return input_url(store_input(_as_png(data, name)).sha256, base_url)


def _parsed(
    given: Mapping[str, Any], fields: Mapping[str, Coercion], needed: tuple[str, ...]
) -> dict[str, Any]:
    """The value of each field; None if it is absent. Raises WireError with the errors of all."""
    errors: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    for name, coerce in fields.items():
        try:
            values[name] = None if is_absent(given.get(name)) else coerce(given[name])
        except Invalid as invalid:
            errors[name] = [f"The {field_label(name)} {invalid.reason}"]
    errors |= {name: [required(name)] for name in needed if values.get(name, "") is None}
    if errors:
        raise WireError.invalid(errors)
    return values


@few_at_a_time
def _as_png(data: bytes, name: str = "image", *, crop: bool = False) -> bytes:
    """The image as PNG. ``crop``: its center, as a square of 512 pixels, the native size of Stable Diffusion 1.x."""
    try:
        image = open_image(data)
    except InvalidImage as refused:  # damaged beyond its header
        raise not_an_image(name, refused.message) from None
    if crop:
        image = ImageOps.fit(image, (CROP_SIDE, CROP_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
