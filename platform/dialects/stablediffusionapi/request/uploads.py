"""base64_crop: a picture in base64 becomes a link that later requests can name."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageOps

from dialects.stablediffusionapi.coercion import Invalid, flag, is_absent, text
from dialects.stablediffusionapi.errors import WireError, worded
from jobs.images.signed_urls import input_url
from jobs.images.storage import store_input

from .fields import required, spoken
from .images import decoded

SIDE = 512
UPLOADED = "image uploaded"


def upload(given: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """Raises WireError."""
    wrong: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    for name, coerce in (("image", text), ("crop", flag)):
        try:
            values[name] = None if is_absent(given.get(name)) else coerce(given[name])
        except Invalid as invalid:
            wrong[name] = [f"The {spoken(name)} {invalid.words}"]
    if values.get("image", "") is None:
        wrong["image"] = [required("image")]
    if wrong:
        raise WireError.invalid(wrong)
    png = _as_png(decoded("image", values["image"], bare=True), crop=bool(values["crop"]))
    return {"status": "success", **worded(UPLOADED), "link": input_url(store_input(png).sha256, base_url)}


def _as_png(data: bytes, *, crop: bool) -> bytes:
    """``crop``: the middle, as a square of the size that models draw best."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            picture = opened.convert("RGBA" if "A" in opened.getbands() else "RGB")
    except (OSError, SyntaxError, ValueError):
        raise WireError.invalid({"image": ["The image must be an image."]}) from None
    if crop:
        picture = ImageOps.fit(picture, (SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
