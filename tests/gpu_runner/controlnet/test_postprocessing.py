"""Postprocessing of outputs by ControlNet modules."""

from types import SimpleNamespace

import numpy as np
from PIL import Image

from gpu_runner.controlnet.postprocessing import apply_postprocessing
from gpu_runner.protocol.catalogs.preprocessors import MODULES
from gpu_runner.protocol.request_parts.control import ControlUnit


def pixels(color) -> np.ndarray:
    return np.full((64, 64, 3), color, np.uint8)


def after(module: str, image: np.ndarray, output: np.ndarray, hidden=None, **fields) -> np.ndarray:
    request = ControlUnit(module=module, **fields)
    unit = SimpleNamespace(
        module=MODULES[module], request=request, map=image, hidden=hidden, model="a net", acts=True
    )
    return np.asarray(apply_postprocessing([unit], Image.fromarray(output))).astype(int)


def test_recolor_combines_the_input_luminance_with_the_output_colors():
    gray = np.tile(np.linspace(50, 200, 64).astype(np.uint8)[:, None, None], (1, 64, 3))
    result = after("recolor_intensity", gray, pixels((120, 30, 30)))
    assert np.abs(result.max(axis=2) - gray[:, :, 0]).max() <= 1
    assert (result[:, :, 0] > result[:, :, 2]).all()
    assert after("recolor_luminance", gray, pixels((120, 30, 30))).mean(axis=(1, 2))[0] < 80


def test_colorfix_combines_the_input_colors_with_the_output_details():
    output = pixels((200, 100, 100))
    output[::2] += 20
    result = after("tile_colorfix", pixels((50, 60, 70)), output)
    assert np.abs(result[16:48].mean(axis=(0, 1)) - (50, 60, 70)).max() < 3
    assert result[20, 20, 0] - result[21, 20, 0] > 15


def test_sharpening_enhances_details():
    output = pixels(100)
    output[::2] += 20
    fixed, sharp = (after(name, pixels(110), output) for name in ("tile_colorfix", "tile_colorfix+sharp"))
    assert sharp[20:40].std() > fixed[20:40].std()


def test_inpaint_only_keeps_unmasked_pixels_exactly():
    hidden = np.zeros((64, 64), np.uint8)
    hidden[24:40, 24:40] = 255
    image = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    result = after("inpaint_only", image, pixels(128), hidden)
    assert (result[:12] == image[:12]).all()
    assert (result[28:36, 28:36] == 128).all()


def test_other_modules_keep_the_image():
    output = pixels((1, 2, 3))
    assert (after("canny", pixels(200), output) == output).all()
