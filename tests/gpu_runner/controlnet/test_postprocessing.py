"""What modules do to the finished picture."""

from types import SimpleNamespace

import numpy as np
from PIL import Image

from gpu_runner.controlnet.postprocessing import finished
from gpu_runner.protocol.generation_request import ControlUnit
from gpu_runner.protocol.preprocessor_catalog import MODULES


def pixels(colour) -> np.ndarray:
    return np.full((64, 64, 3), colour, np.uint8)


def after(module: str, given: np.ndarray, drawn: np.ndarray, hidden=None, **fields) -> np.ndarray:
    asked = ControlUnit(module=module, **fields)
    unit = SimpleNamespace(
        module=MODULES[module], asked=asked, map=given, hidden=hidden, model="a net", acts=True
    )
    return np.asarray(finished([unit], Image.fromarray(drawn))).astype(int)


def test_recolour_keeps_the_given_light_and_the_drawn_colour():
    grey = np.tile(np.linspace(50, 200, 64).astype(np.uint8)[:, None, None], (1, 64, 3))
    result = after("recolor_intensity", grey, pixels((120, 30, 30)))
    assert np.abs(result.max(axis=2) - grey[:, :, 0]).max() <= 1
    assert (result[:, :, 0] > result[:, :, 2]).all()
    assert after("recolor_luminance", grey, pixels((120, 30, 30))).mean(axis=(1, 2))[0] < 80


def test_colour_fix_has_the_hints_colours_and_the_drawings_details():
    drawn = pixels((200, 100, 100))
    drawn[::2] += 20
    result = after("tile_colorfix", pixels((50, 60, 70)), drawn)
    assert np.abs(result[16:48].mean(axis=(0, 1)) - (50, 60, 70)).max() < 3
    assert result[20, 20, 0] - result[21, 20, 0] > 15


def test_sharpening_makes_details_stronger():
    drawn = pixels(100)
    drawn[::2] += 20
    fixed, sharp = (after(name, pixels(110), drawn) for name in ("tile_colorfix", "tile_colorfix+sharp"))
    assert sharp[20:40].std() > fixed[20:40].std()


def test_inpaint_only_keeps_its_surroundings_to_the_byte():
    hidden = np.zeros((64, 64), np.uint8)
    hidden[24:40, 24:40] = 255
    given = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    result = after("inpaint_only", given, pixels(128), hidden)
    assert (result[:12] == given[:12]).all()
    assert (result[28:36, 28:36] == 128).all()


def test_a_module_without_effect_leaves_the_picture_alone():
    drawn = pixels((1, 2, 3))
    assert (after("canny", pixels(200), drawn) == drawn).all()
