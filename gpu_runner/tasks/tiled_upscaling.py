"""Enlarging pictures: by interpolation, or by an upscaler model, tile by tile so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from gpu_runner.imaging import images
from gpu_runner.imaging.images import ResizeMode
from gpu_runner.networks.loaded import LoadedUpscaler
from gpu_runner.networks.operations import Operation, UpscaleTile
from gpu_runner.protocol.upscaler_catalog import NEAREST, LatentMode

from .init_image import Resize

TILE = 192
OVERLAP = 16  # of neighbouring tiles; they fade into each other there
MOST_RUNS = 3  # of a model over its own result, where once does not reach the size
MOST_PIXELS = 64 * 1024 * 1024  # of a result on the way: the source is shrunk before it would get larger

T = TypeVar("T")


def enlarge(
    enlarger: LoadedUpscaler | str, picture: Image.Image, width: int, height: int
) -> Generator[Operation, Any, Image.Image]:
    """To exactly this size; what a model makes too large is shrunk again."""
    if not isinstance(enlarger, str):
        picture = yield from _run(enlarger, picture, width, height)
    grows = width > picture.width or height > picture.height
    method = Image.Resampling.NEAREST if enlarger == NEAREST and grows else Image.Resampling.LANCZOS
    return picture if picture.size == (width, height) else picture.resize((width, height), method)


def resize(
    enlarger: LoadedUpscaler | str, picture: Image.Image, width: int, height: int, mode: ResizeMode
) -> Generator[Operation, Any, Image.Image]:
    """As images.resize does, after an upscaler where the picture grows."""
    if not isinstance(enlarger, str):
        picture = yield from _run(enlarger, picture, width, height)
    elif enlarger == NEAREST and picture.width < width and picture.height < height:
        size = images.cover_size(picture.size, width, height)
        picture = picture.resize(size, Image.Resampling.NEAREST)
    return images.resize(picture, width, height, mode)


def resize_by_itself(enlarger: str) -> Resize:
    """Without a model there is nothing to ask."""
    return partial(resize, enlarger)


def run_by_itself(asking: Generator[Operation, Any, T]) -> T:
    """The result of what turns out to ask nothing."""
    try:
        next(asking)
    except StopIteration as end:
        return end.value
    raise TypeError("there is no device to ask here")


def _run(
    model: LoadedUpscaler, picture: Image.Image, width: int, height: int
) -> Generator[Operation, Any, Image.Image]:
    for _ in range(MOST_RUNS):
        if model.scale <= 1 or (picture.width >= width and picture.height >= height):
            break
        picture = images.limit_pixels(picture, MOST_PIXELS // model.scale**2)
        picture = yield from run_once(model, picture)
    return picture


def run_once(model: LoadedUpscaler, picture: Image.Image) -> Generator[Operation, Any, Image.Image]:
    pixels = images.to_tensor(picture)
    _, height, width = pixels.shape
    result = torch.zeros(3, height * model.scale, width * model.scale)
    weights = torch.zeros(1, height * model.scale, width * model.scale)
    for top, bottom, left, right in tiles(height, width):
        drawn = (yield UpscaleTile(model, pixels[:, top:bottom, left:right])).cpu()
        fade = faded(bottom - top, right - left, model.scale)
        rows, columns = (
            slice(top * model.scale, bottom * model.scale),
            slice(left * model.scale, right * model.scale),
        )
        result[:, rows, columns] += drawn * fade
        weights[:, rows, columns] += fade
    return images.from_tensor(result.div_(weights))


def tiles(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    for top, bottom in _spans(height):
        for left, right in _spans(width):
            yield top, bottom, left, right


def _spans(length: int) -> list[tuple[int, int]]:
    """All of one length, so that tiles can share a call; the last ones overlap more."""
    if length <= TILE:
        return [(0, length)]
    stride = TILE - OVERLAP
    starts = [*range(0, length - TILE, stride), length - TILE]
    return [(start, start + TILE) for start in starts]


def faded(height: int, width: int, scale: int) -> Tensor:
    """Weights that fall towards the edges over the width of the overlap."""

    def ramp(length: int) -> Tensor:
        from_edge = torch.arange(length * scale) + 0.5
        nearest = torch.minimum(from_edge, length * scale - from_edge)
        return (nearest / (OVERLAP * scale)).clamp(max=1)

    return ramp(height)[:, None] * ramp(width)[None]


def interpolate(latent: Tensor, mode: LatentMode, width: int, height: int) -> Tensor:
    """A latent to the size of a grid."""
    return functional.interpolate(
        latent[None], size=(height, width), mode=mode.interpolation, antialias=mode.antialias
    )[0]
