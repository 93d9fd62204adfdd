"""The pictures that travel with an order, decoded. No torch."""

from __future__ import annotations

import base64
import binascii

from PIL import Image

from gpu_runner.imaging import images
from gpu_runner.protocol import RunRequest
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.generation_request import Picture
from gpu_runner.tasks.init_image import Source


def read_sources(order: RunRequest) -> list[Source]:
    """One for each init image; a picture that is named more than once is decoded once."""
    request = order.request
    mask = opened(order, request.inpaint.mask) if request.inpaint else None
    read = {picture: Source(_init_image(order, picture), mask) for picture in set(request.init_images)}
    return [read[picture] for picture in request.init_images]


def _init_image(order: RunRequest, picture: Picture) -> Image.Image:
    flat = images.flatten(opened(order, picture), order.request.background)
    return flat if order.request.keep_texture else images.remove_texture(flat)


def opened(order: RunRequest, picture: Picture) -> Image.Image:
    return images.open_image(_decoded(order.inputs[picture.sha256]))


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise InvalidRequest("a picture is not valid base64") from error
