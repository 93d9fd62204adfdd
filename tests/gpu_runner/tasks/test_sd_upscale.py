"""SD upscale: grid, seeds and joining of the tiles, with the numbers of A1111's script."""

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.images.tile_grid import tile_rows
from gpu_runner.protocol.step_count import count_evaluations
from gpu_runner.tasks import sd_upscale

pytestmark = pytest.mark.slow

SHA = "a" * 64


def request(**fields) -> GenerationRequest:
    tiled = {"width": 128, "height": 96, "overlap": 8} | fields.pop("tiled", {})
    base = {"task": "img2img", "init_images": [{"sha256": SHA}], "width": 64, "height": 64}
    return GenerationRequest(**base | {"tiled": tiled} | fields)


@pytest.mark.parametrize(
    ("size", "tile", "overlap", "lefts", "tops"),
    [
        ((1024, 1024), (512, 512), 64, [0, 256, 512], [0, 256, 512]),
        ((128, 96), (64, 64), 8, [0, 32, 64], [0, 32]),
        ((64, 64), (64, 64), 8, [0], [0]),
        ((1000, 512), (512, 512), 0, [0, 488], [0]),
        ((1096, 600), (512, 512), 64, [0, 292, 584], [0, 88]),
    ],
)
def test_tiles_are_spread_evenly(size, tile, overlap, lefts, tops):
    assert tile_rows(size, tile, overlap) == [[(left, top) for left in lefts] for top in tops]


def test_every_group_of_tiles_begins_one_seed_later():
    """With a batch size of 2: batches (5, 6), (6, 7), (7, 8); the second image begins with 6."""
    of = request(seed=5, subseed=70, num_images=2, tiled={"tiles_per_seed": 2})
    assert [sd_upscale.request_of_tile(of, 0, number).seed for number in range(6)] == [5, 6, 6, 7, 7, 8]
    assert sd_upscale.request_of_tile(of, 1, 0).seed == 6
    varied = of.model_copy(update={"subseed_strength": 0.5})
    tiles = [sd_upscale.request_of_tile(varied, 0, number) for number in range(4)]
    assert [(tile.seed, tile.subseed) for tile in tiles] == [(5, 70), (5, 71), (6, 70), (6, 71)]


def test_unchanged_tiles_join_to_the_image():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8))
    rows = sd_upscale.grid_of(request())
    tiles = [image.crop((left, top, left + 64, top + 64)) for row in rows for left, top in row]
    joined = sd_upscale.join(rows, tiles, image.size, 8)
    assert np.abs(np.asarray(joined, int) - np.asarray(image, int)).max() <= 1


def test_tiles_fade_in_over_the_overlap():
    rows = tile_rows((120, 64), (64, 64), 8)
    black, white = Image.new("RGB", (64, 64)), Image.new("RGB", (64, 64), "white")
    line = np.asarray(sd_upscale.join(rows, [black, white], (120, 64), 8))[0, 54:66, 0]
    assert line.tolist() == [0, 0, 0, 31, 63, 95, 127, 159, 191, 223, 255, 255]


def test_price_and_progress_count_every_tile():
    plain, tiled = request(tiled={"width": 64, "height": 64}), request()
    assert (plain.tiles, tiled.tiles) == (1, 6)
    (one,), (six,) = count_evaluations(plain), count_evaluations(tiled)
    assert (six.evaluations, six.pixels) == (6 * one.evaluations, one.pixels)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tiled": {"overlap": 64}}, "overlap must be less"),
        ({"width": 256}, "must be at most those of the enlarged image"),
        ({"tiled": {"width": 8192, "height": 8192}}, "at most 1024 tiles"),
        ({"task": "txt2img", "init_images": []}, "task=img2img"),
        ({"inpaint": {"mask": {"sha256": SHA}}}, "no inpaint"),
    ],
)
def test_impossible_grids_are_refused(fields, reason):
    with pytest.raises(ValidationError, match=reason):
        request(**fields)
