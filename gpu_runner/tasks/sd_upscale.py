"""SD upscale: enlarge the init image, denoise it in overlapping tiles, and join them, as A1111's script does."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gpu_runner.protocol.generation_request import GenerationRequest, next_seed
from gpu_runner.protocol.images.tile_grid import Tile, tile_rows


def request_of_tile(request: GenerationRequest, output: int, number: int) -> GenerationRequest:
    """Return the img2img request of one tile: each group of ``tiles_per_seed`` tiles begins one seed later."""
    assert request.tiled is not None
    group, place = divmod(number, request.tiled.tiles_per_seed)
    offset = output + group + (0 if request.subseed_strength else place)
    return request.model_copy(
        update={
            "seed": next_seed(request.seed, offset),
            "subseed": next_seed(request.subseed, place),
            "tiled": None,
            "num_images": 1,
        }
    )


def grid_of(request: GenerationRequest) -> list[list[Tile]]:
    part = request.tiled
    assert part is not None
    return tile_rows((part.width, part.height), (request.width, request.height), part.overlap)


def join(
    rows: list[list[Tile]], tiles: list[Image.Image], size: tuple[int, int], overlap: int
) -> Image.Image:
    """Join the tiles of ``rows``, in the same order. Each fades in linearly over the first ``overlap`` pixels."""
    result = Image.new("RGB", size)
    images = iter(tiles)
    for row in rows:
        strip: Image.Image | None = None
        for left, _top in row:
            tile = next(images)
            if strip is None:
                strip = Image.new("RGB", (size[0], tile.height))
            strip.paste(tile, (left, 0), _ramp(tile.size, overlap if left else 0, axis=1))
        assert strip is not None
        top = row[0][1]
        result.paste(strip, (0, top), _ramp(strip.size, overlap if top else 0, axis=0))
    return result


def _ramp(size: tuple[int, int], overlap: int, axis: int) -> Image.Image:
    """Opacity of a tile: 0 to nearly 255 over the first ``overlap`` rows (axis 0) or columns (axis 1), then 255."""
    opacity = np.full((size[1], size[0]), 255, dtype=np.uint8)
    if overlap:
        fade = (np.arange(overlap, dtype=np.float32) * 255 / overlap).astype(np.uint8)
        if axis:
            opacity[:, :overlap] = fade
        else:
            opacity[:overlap] = fade[:, None]
    return Image.fromarray(opacity)
