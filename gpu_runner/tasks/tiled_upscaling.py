"""Image enlargement by interpolation or by an upscaler model, in tiles to bound memory."""

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
OVERLAP = 16  # pixels shared by adjacent tiles, where they are blended linearly
MOST_RUNS = 3  # repeated runs of a model whose scale is below the requested factor
MOST_PIXELS = 64 * 1024 * 1024  # limit of an intermediate result; the source is shrunk to stay below it

T = TypeVar("T")


def enlarge(
    enlarger: LoadedUpscaler | str, picture: Image.Image, width: int, height: int
) -> Generator[Operation, Any, Image.Image]:
    """Enlarge to exactly ``width`` x ``height`` pixels; a larger model output is downscaled with Lanczos."""
    if not isinstance(enlarger, str):
        picture = yield from _run(enlarger, picture, width, height)
    grows = width > picture.width or height > picture.height
    method = Image.Resampling.NEAREST if enlarger == NEAREST and grows else Image.Resampling.LANCZOS
    return picture if picture.size == (width, height) else picture.resize((width, height), method)


def resize(
    enlarger: LoadedUpscaler | str, picture: Image.Image, width: int, height: int, mode: ResizeMode
) -> Generator[Operation, Any, Image.Image]:
    """Resize like ``images.resize``, with the upscaler applied first if the image grows."""
    if not isinstance(enlarger, str):
        picture = yield from _run(enlarger, picture, width, height)
    elif enlarger == NEAREST and picture.width < width and picture.height < height:
        size = images.cover_size(picture.size, width, height)
        picture = picture.resize(size, Image.Resampling.NEAREST)
    return images.resize(picture, width, height, mode)


def resize_by_itself(enlarger: str) -> Resize:
    """Return a Resize callable by interpolation only, which yields no operations."""
    return partial(resize, enlarger)


def run_by_itself(asking: Generator[Operation, Any, T]) -> T:
    """Run a generator that yields no operations. Raises TypeError if it yields one."""
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
    """Upscale by the model's scale, tile by tile, and blend the overlaps."""
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
    """Yield (top, bottom, left, right) of each tile in pixels."""
    for top, bottom in _spans(height):
        for left, right in _spans(width):
            yield top, bottom, left, right


def _spans(length: int) -> list[tuple[int, int]]:
    """Tile intervals of equal length, so that tiles can be batched; the last one overlaps more."""
    if length <= TILE:
        return [(0, length)]
    stride = TILE - OVERLAP
    starts = [*range(0, length - TILE, stride), length - TILE]
    return [(start, start + TILE) for start in starts]


def faded(height: int, width: int, scale: int) -> Tensor:
    """Blend weights (height * scale, width * scale), falling linearly to the edges over the overlap."""

    def ramp(length: int) -> Tensor:
        from_edge = torch.arange(length * scale) + 0.5
        nearest = torch.minimum(from_edge, length * scale - from_edge)
        return (nearest / (OVERLAP * scale)).clamp(max=1)

    return ramp(height)[:, None] * ramp(width)[None]


def interpolate(latent: Tensor, mode: LatentMode, width: int, height: int) -> Tensor:
    """Interpolate a latent (c, h, w) to (c, height, width)."""
    return functional.interpolate(
        latent[None], size=(height, width), mode=mode.interpolation, antialias=mode.antialias
    )[0]
