"""Upscaling by interpolation and by upscaler models, in tiles."""

import numpy as np
import pytest
import torch
from PIL import Image

from gpu_runner.imaging import images
from gpu_runner.imaging.images import InvalidImage
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol.catalogs.upscalers import LATENT_MODES
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection import safetensors_models
from gpu_runner.protocol.request_parts.upscaling import Upscale
from gpu_runner.tasks import tiled_upscaling
from gpu_runner.tasks.image_tasks import enlarged_size
from gpu_runner.tasks.tiled_upscaling import enlarge, interpolate, run_once, tiles
from tests.support import upscaler_files
from tests.support.upscaler_files import write

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path, "cpu", torch.float32, 2**30)


def run_on_device(generator):
    """Execute the operations of a generator. Returns its result and the sizes of the tiles."""
    sizes, result = [], None
    with torch.inference_mode():
        while True:
            try:
                operation = generator.send(result)
            except StopIteration as end:
                return end.value, sizes
            sizes.append(tuple(operation.pixels.shape[-2:]))
            result = operation.model([operation.pixels])[0]


def noise(width, height):
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", ["doubler.safetensors", "doubler.pth"])
def test_a_model_with_zero_weights_doubles_pixels(store, tmp_path, name):
    model = store.upscaler(write(tmp_path, name, upscaler_files.pixel_doubler()))
    image = noise(21, 13)
    doubled, _ = run_on_device(run_once(model, image))
    assert np.array_equal(np.asarray(doubled), np.asarray(image.resize((42, 26), Image.Resampling.NEAREST)))


def test_an_esrgan_file_in_its_original_layout_is_loaded(store, tmp_path):
    file = write(tmp_path, "four.safetensors", upscaler_files.esrgan())
    assert safetensors_models.identify_file(tmp_path / file.path).kind == "upscaler"
    model = store.upscaler(file)
    enlarged, _ = run_on_device(run_once(model, noise(16, 8)))
    assert (model.scale, enlarged.size) == (4, (64, 32))


def test_tiles_leave_no_seams(store, tmp_path, monkeypatch):
    model = store.upscaler(write(tmp_path, "sharpener.safetensors", upscaler_files.sharpener()))
    image = noise(150, 90)
    whole, sizes = run_on_device(run_once(model, image))
    assert sizes == [(90, 150)]
    monkeypatch.setattr(tiled_upscaling, "TILE", 64)
    tiled, sizes = run_on_device(run_once(model, image))
    assert set(sizes) == {(64, 64)}
    difference = np.abs(np.asarray(whole, dtype=int) - np.asarray(tiled, dtype=int))
    assert difference.mean() < 0.5


@pytest.mark.parametrize(("height", "width"), [(1, 1), (192, 193), (1000, 30), (500, 377)])
def test_tiles_cover_the_whole_image(height, width):
    seen = np.zeros((height, width), dtype=bool)
    for top, bottom, left, right in tiles(height, width):
        seen[top:bottom, left:right] = True
    assert seen.all()


def test_a_model_runs_until_the_size_is_reached_and_no_further(store, tmp_path):
    model = store.upscaler(write(tmp_path, "doubler.safetensors", upscaler_files.pixel_doubler()))
    large, sizes = run_on_device(enlarge(model, noise(10, 10), 35, 30))
    assert (large.size, sizes) == ((35, 30), [(10, 10), (20, 20)])
    _, sizes = run_on_device(enlarge(model, noise(10, 10), 10, 5))
    assert sizes == []


def test_latent_modes_give_different_results():
    latent = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0))
    small = {mode.name: interpolate(latent, mode, 5, 6) for mode in LATENT_MODES}
    assert all(result.shape == (4, 6, 5) for result in small.values())
    results = list(small.values())
    assert not any(torch.equal(one, other) for i, one in enumerate(results) for other in results[:i])


def test_a_file_of_another_kind_is_unavailable(store, tmp_path):
    file = write(tmp_path, "linear.safetensors", torch.nn.Linear(2, 2))
    with pytest.raises(ModelUnavailable, match="not an upscaler"):
        store.upscaler(file)


def test_an_upscaler_with_missing_tensors_is_unavailable(store, tmp_path):
    whole = upscaler_files.esrgan().state_dict()
    half = torch.nn.Module()
    names = [name for name in whole if "conv_last" not in name and not name.startswith("model.8")]
    half.state_dict = lambda: {name: whole[name] for name in names}
    with pytest.raises(ModelUnavailable):
        store.upscaler(write(tmp_path, "half.safetensors", half))


def test_scaled_sizes_are_multiples_of_8_and_explicit_sizes_are_covered():
    assert enlarged_size((100, 51), Upscale(scale=1.5)) == (144, 72)
    assert enlarged_size((100, 50), Upscale(width=300, height=300)) == (600, 300)


def test_a_result_that_is_too_large_is_rejected_in_advance():
    with pytest.raises(InvalidImage, match="at most"):
        enlarged_size((4000, 4000), Upscale(scale=4))


def test_cover_size_is_at_least_the_target():
    for size in ((500, 333), (1, 1000), (64, 64)):
        width, height = images.cover_size(size, 640, 480)
        assert width >= 640
        assert height >= 480
