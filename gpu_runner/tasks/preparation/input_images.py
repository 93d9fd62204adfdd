"""Decoding of the input images of a request. This module does not import torch."""

from __future__ import annotations

import base64
import binascii

from PIL import Image

from gpu_runner.imaging import images
from gpu_runner.imaging.scaled_image import ScaledImage
from gpu_runner.protocol import RunRequest
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.request_parts.values import InputImage
from gpu_runner.tasks.init_image import Source


def read_sources(run_request: RunRequest) -> list[Source]:
    """Return one source per init image; repeated images are decoded once."""
    request = run_request.request
    mask = decode_image(run_request, request.inpaint.mask) if request.inpaint else None
    sources_by_image = {
        image: Source(_init_image(run_request, image), mask) for image in set(request.init_images)
    }
    return [sources_by_image[image] for image in request.init_images]


def read_references(run_request: RunRequest) -> tuple[ScaledImage, ...]:
    """Images that all outputs are drawn after, flattened on the background color."""
    request = run_request.request
    decoded = (decode_image(run_request, image) for image in request.images)
    return tuple(ScaledImage(images.flatten(image, request.background)) for image in decoded)


def _init_image(run_request: RunRequest, image: InputImage) -> Image.Image:
    decoded = decode_image(run_request, image)
    if run_request.request.task == "upscale" and decoded.mode == "RGBA":
        return decoded  # its output is transparent where the init image is
    flat = images.flatten(decoded, run_request.request.background)
    return flat if run_request.request.keep_texture else images.remove_texture(flat)


def decode_image(run_request: RunRequest, image: InputImage) -> Image.Image:
    """Decode an input image. Raises InvalidRequest (invalid base64) or InvalidImage."""
    return images.open_image(_decoded(run_request.inputs[image.sha256]))


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise InvalidRequest("an input image is not valid base64") from error
