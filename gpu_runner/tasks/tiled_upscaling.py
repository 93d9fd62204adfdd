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
from gpu_runner.protocol.catalogs.upscalers import NEAREST, LatentMode

from .init_image import Resize

TILE = 192
OVERLAP = 16  # pixels shared by adjacent tiles, where they are blended linearly
MAX_RUNS = 3  # repeated runs of a model whose scale is below the requested factor
MAX_PIXELS = 64 * 1024 * 1024  # limit of an intermediate result; the source is shrunk to stay below it

T = TypeVar("T")


def enlarge(
    upscaler: LoadedUpscaler | str, image: Image.Image, width: int, height: int
) -> Generator[Operation, Any, Image.Image]:
    """Enlarge to exactly ``width`` x ``height`` pixels; a larger model output is downscaled with Lanczos."""
    if not isinstance(upscaler, str):
        image = yield from _run(upscaler, image, width, height)
    grows = width > image.width or height > image.height
    method = Image.Resampling.NEAREST if upscaler == NEAREST and grows else Image.Resampling.LANCZOS
    return image if image.size == (width, height) else image.resize((width, height), method)


def resize(
    upscaler: LoadedUpscaler | str, image: Image.Image, width: int, height: int, mode: ResizeMode
) -> Generator[Operation, Any, Image.Image]:
    """Resize like ``images.resize``, with the upscaler applied first if the image grows."""
    if not isinstance(upscaler, str):
        image = yield from _run(upscaler, image, width, height)
    elif upscaler == NEAREST and image.width < width and image.height < height:
        size = images.cover_size(image.size, width, height)
        image = image.resize(size, Image.Resampling.NEAREST)
    return images.resize(image, width, height, mode)


def resize_by_interpolation(upscaler: str) -> Resize:
    """Return a Resize callable by interpolation only, which yields no operations."""
    return partial(resize, upscaler)


def run_without_device(generator: Generator[Operation, Any, T]) -> T:
    """Run a generator that yields no operations. Raises TypeError if it yields one."""
    try:
        next(generator)
    except StopIteration as end:
        return end.value
    raise TypeError("the generator yielded a device operation")


def _run(
    model: LoadedUpscaler, image: Image.Image, width: int, height: int
) -> Generator[Operation, Any, Image.Image]:
    for _ in range(MAX_RUNS):
        if model.scale <= 1 or (image.width >= width and image.height >= height):
            break
        image = images.limit_pixels(image, MAX_PIXELS // model.scale**2)
        image = yield from run_once(model, image)
    return image


def run_once(model: LoadedUpscaler, image: Image.Image) -> Generator[Operation, Any, Image.Image]:
    """Upscale by the model's scale, tile by tile, and blend the overlaps."""
    pixels = images.to_tensor(image)
    _, height, width = pixels.shape
    result = torch.zeros(3, height * model.scale, width * model.scale)
    weights = torch.zeros(1, height * model.scale, width * model.scale)
    for top, bottom, left, right in tiles(height, width):
        enlarged = (yield UpscaleTile(model, pixels[:, top:bottom, left:right])).cpu()
        fade = faded(bottom - top, right - left, model.scale)
        rows, columns = (
            slice(top * model.scale, bottom * model.scale),
            slice(left * model.scale, right * model.scale),
        )
        result[:, rows, columns] += enlarged * fade
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
