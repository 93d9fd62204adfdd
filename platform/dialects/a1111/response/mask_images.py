"""The options ``return_mask`` and ``return_mask_composite``: add masks and composites of inpainted images."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.images.working_size import placement
from gpu_runner.protocol.request_parts.passes import Inpaint
from jobs.images.input_files import open_image, read_size
from jobs.images.storage import read_input
from jobs.models import Job

HALF = 128
FULL = 255


def interleaved(job: Job, files: list[bytes]) -> list[bytes]:
    """Return the images, each followed by the mask and the composite if the options enable them."""
    request = job.generation_request
    enabled = job.received["masks"]
    if request.inpaint is None or not any(enabled.values()):
        return list(files)
    mask = overlay_mask(request, request.inpaint)
    result = []
    for data in files:
        result.append(data)
        if enabled["return_mask"]:
            result.append(_png(mask.convert("RGB")))
        if enabled["return_mask_composite"]:
            result.append(_png(_composite(open_image(data), mask)))
    return result


def overlay_mask(request: GenerationRequest, inpaint: Inpaint) -> Image.Image:
    """Mask of the original image's size, white where the generated image is visible."""
    mask = _mask_channel(open_image(read_input(inpaint.mask.sha256)), inpaint)
    if inpaint.invert:
        mask = ImageOps.invert(mask)
    mask = mask.filter(ImageFilter.GaussianBlur((inpaint.blur_x, inpaint.blur_y)))
    if inpaint.only_masked:
        return mask.resize(read_size(read_input(request.init_images[0].sha256)))
    return _resized(mask, request).point(lambda level: min(FULL, 2 * level))


def _mask_channel(image: Image.Image, inpaint: Inpaint) -> Image.Image:
    if image.mode != "RGBA" or image.getchannel("A").getextrema() == (FULL, FULL):
        return image.convert("L")
    alpha = image.getchannel("A")
    return alpha.point(lambda level: FULL * (level > HALF)) if inpaint.rounded else alpha


def _resized(mask: Image.Image, request: GenerationRequest) -> Image.Image:
    width, height = request.width, request.height
    if request.resize_mode not in ("crop", "fill"):
        return mask.resize((width, height))
    scaled, (left, top) = placement(mask.size, width, height, covers=request.resize_mode == "crop")
    mask = mask.resize(scaled, Image.Resampling.LANCZOS)
    if request.resize_mode == "crop":
        return mask.crop((-left, -top, width - left, height - top))
    bars = (top, height - top - mask.height), (left, width - left - mask.width)
    return Image.fromarray(np.pad(np.asarray(mask), bars, mode="edge"))  # as in the image


def _composite(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The generated part of the image; the rest is transparent."""
    composite = image.convert("RGBA")
    composite.putalpha(mask.resize(image.size))
    return composite


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
