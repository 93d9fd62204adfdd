"""The options ``return_mask`` and ``return_mask_composite``: beside each inpainted picture its mask, and what was drawn alone."""

from __future__ import annotations

import io

from PIL import Image, ImageFilter, ImageOps

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.generation_request import Inpaint
from jobs.images.storage import read_input
from jobs.models import Job

HALF = 128
FULL = 255


def interleaved(job: Job, files: list[bytes]) -> list[bytes]:
    """The pictures, and behind each what the options want of it."""
    request = job.generation_request
    wanted = job.received["masks"]
    if request.inpaint is None or not any(wanted.values()):
        return list(files)
    mask = overlay_mask(request, request.inpaint)
    found = []
    for data in files:
        found.append(data)
        if wanted["return_mask"]:
            found.append(_png(mask.convert("RGB")))
        if wanted["return_mask_composite"]:
            with Image.open(io.BytesIO(data)) as picture:
                found.append(_png(_composite(picture, mask)))
    return found


def overlay_mask(request: GenerationRequest, inpaint: Inpaint) -> Image.Image:
    """White where the drawn picture shows, of the picture's own size."""
    with Image.open(io.BytesIO(read_input(inpaint.mask.sha256))) as picture:
        mask = _said_by(picture.convert("RGBA") if picture.mode in ("LA", "PA", "P") else picture, inpaint)
    if inpaint.invert:
        mask = ImageOps.invert(mask)
    mask = mask.filter(ImageFilter.GaussianBlur((inpaint.blur_x, inpaint.blur_y)))
    if inpaint.only_masked:
        with Image.open(io.BytesIO(read_input(request.init_images[0].sha256))) as picture:
            return mask.resize(ImageOps.exif_transpose(picture).size)
    return _framed(mask, request).point(lambda level: min(FULL, 2 * level))


def _said_by(picture: Image.Image, inpaint: Inpaint) -> Image.Image:
    if picture.mode != "RGBA" or picture.getchannel("A").getextrema() == (FULL, FULL):
        return picture.convert("L")
    alpha = picture.getchannel("A")
    return alpha.point(lambda level: FULL * (level > HALF)) if inpaint.rounded else alpha


def _framed(mask: Image.Image, request: GenerationRequest) -> Image.Image:
    size = (request.width, request.height)
    if request.resize_mode == "crop":
        return ImageOps.fit(mask, size)
    if request.resize_mode == "fill":
        return ImageOps.pad(mask, size)
    return mask.resize(size)


def _composite(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """What was drawn; the rest is transparent."""
    drawn = picture.convert("RGBA")
    drawn.putalpha(mask.resize(picture.size))
    return drawn


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
