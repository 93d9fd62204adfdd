"""Preprocessor modules without a network, and resizing of control maps."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu_runner.controlnet.preprocessors.network_registry import NETWORKS
from gpu_runner.controlnet.preprocessors.registry import PREPROCESSORS, detect
from gpu_runner.controlnet.preprocessors.resize import fit, fit_mask, perfect_resolution
from gpu_runner.protocol.catalogs.preprocessors import MODULES, find, weights_of


def disc(size=(128, 96), paper="white", ink="black") -> np.ndarray:
    image = Image.new("RGB", size, paper)
    ImageDraw.Draw(image).ellipse((40, 20, 90, 70), fill=ink)
    return np.asarray(image)


def processed(name: str, pixels: np.ndarray, resolution=96, a=None, b=None) -> np.ndarray:
    module = MODULES[name]
    return detect(module, pixels, module.settings(resolution, a, b))


def test_every_module_of_the_extension_is_implemented_or_refused_with_a_reason():
    assert len(MODULES) == 72
    for module in MODULES.values():
        assert (module.name in PREPROCESSORS) + bool(module.weights) + bool(module.refused) == 1, module.name


def test_every_module_with_weights_has_a_network():
    assert {module.name for module in MODULES.values() if module.weights} == NETWORKS.keys()


def test_modules_are_found_by_name_and_by_label():
    assert find("depth_midas").name == "depth"
    assert find("softedge_hed").name == "hed"
    assert find("nothing") is None
    assert weights_of("canny") == ""
    assert weights_of("softedge_hed") == "ControlNetHED"


def test_slider_values_out_of_range_are_replaced_by_the_default():
    assert MODULES["canny"].settings(10_000, 0, 300) == MODULES["canny"].settings(None, None, None)
    assert MODULES["canny"].settings(256, 50, 60).a == 50


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_every_map_is_an_rgb_image_and_deterministic(name):
    first, again = processed(name, disc()), processed(name, disc())
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert (first == again).all()


@pytest.mark.parametrize("name", PREPROCESSORS)
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (65, 64)])
def test_images_of_any_size_are_accepted(name, size):
    assert processed(name, np.full((size[1], size[0], 3), 200, np.uint8), resolution=64).shape[2] == 3


def test_canny_finds_the_outline_above_its_thresholds():
    ys, xs = np.nonzero(processed("canny", disc())[:, :, 0])
    assert abs(np.hypot(xs - 65, ys - 45) - 25).max() < 2.5
    faint = disc(ink=(225, 225, 225))
    assert processed("canny", faint).max() == 0
    assert processed("canny", faint, a=10, b=20).max() == 255


def test_the_resolution_is_the_shorter_side_of_the_map():
    assert processed("canny", disc(), resolution=192).shape == (192, 256, 3)
    assert processed("invert", disc(), resolution=192).shape == (96, 128, 3)


def test_invert_and_threshold():
    assert (processed("invert", disc()) == 255 - disc()).all()
    assert set(np.unique(processed("threshold", disc(ink=(100, 200, 200)), a=150))) == {0, 255}
    assert processed("threshold", disc(), a=150)[0, 0, 0] == 255


def test_blur_gaussian_smooths_more_with_more_sigma():
    steepness = [
        np.abs(np.diff(processed("blur_gaussian", disc(), a=a)[45, :, 0].astype(int))).max()
        for a in (1, 4, 16)
    ]
    assert steepness == sorted(steepness, reverse=True)
    assert steepness[0] > 2 * steepness[2]


def test_tile_resample_divides_the_size_by_its_factor():
    assert processed("tile_resample", disc(), a=4).shape == (24, 32, 3)
    assert (processed("tile_resample", disc(), a=1) == disc()).all()


def test_recolor_gives_gray_levels_and_gamma_darkens_them():
    for name in ("recolor_luminance", "recolor_intensity"):
        gray = processed(name, disc(paper=(90, 120, 200)))
        assert (gray[:, :, 0] == gray[:, :, 1]).all()
        assert processed(name, disc(paper=(90, 120, 200)), a=2).mean() < gray.mean()


def test_the_color_grid_has_one_color_per_cell():
    grid = processed("color", disc((256, 192)), resolution=192)
    assert (grid[:64, :64] == grid[0, 0]).all()


def test_shuffle_moves_pixels_and_keeps_their_colors():
    pixels = disc((300, 300), "red", "blue")
    shuffled = processed("shuffle", pixels)
    assert shuffled.shape == pixels.shape
    assert np.abs(shuffled.astype(int) - pixels).mean() > 5
    assert {tuple(color) for color in shuffled[::50, ::50].reshape(-1, 3)} <= {(255, 0, 0), (0, 0, 255)} | {
        tuple(color) for color in shuffled.reshape(-1, 3) if min(color[0], color[2]) > 0
    }


def test_scribble_and_lineart_maps_are_white_on_lines():
    pixels = np.full((96, 128, 3), 255, np.uint8)
    pixels[40:43] = 0
    for name in ("scribble_xdog", "lineart_standard"):
        lines = processed(name, pixels)[:, :, 0]
        assert lines[41, 60] > 120, name
        assert lines[5, 60] < 10, name


def test_perfect_resolution_needs_no_resizing_of_the_map():
    pixels = disc((128, 96))
    assert perfect_resolution(pixels, 256, 192, "crop") == 192
    assert perfect_resolution(pixels, 256, 256, "crop") == 256
    assert perfect_resolution(pixels, 256, 256, "fill") == 192


@pytest.mark.parametrize("mode", ["stretch", "crop", "fill"])
def test_a_resized_line_map_stays_binary(mode):
    fitted = fit(processed("canny", disc()), 64, 128, mode)
    assert fitted.shape == (128, 64, 3)
    assert set(np.unique(fitted)) == {0, 255}


def test_fill_pads_with_the_border_color_and_crop_cuts():
    filled = fit(disc(paper=(10, 200, 30)), 100, 200, "fill")
    assert (filled[0] == (10, 200, 30)).all()
    cropped = fit(disc((200, 50)), 50, 50, "crop")
    assert (cropped == disc((200, 50))[:, 75:125]).all()


def test_class_colors_are_not_interpolated():
    classes = np.zeros((64, 64, 3), np.uint8)
    classes[:32, :32], classes[32:] = (255, 0, 0), (0, 0, 255)
    colors = {tuple(color) for color in fit(classes, 50, 50, "stretch").reshape(-1, 3)}
    assert colors == {(0, 0, 0), (255, 0, 0), (0, 0, 255)}


def test_the_padding_of_a_mask_is_not_masked():
    fitted = fit_mask(np.full((50, 100), 255, np.uint8), 100, 100, "fill")
    assert (fitted[25:75] == 255).all()
    assert fitted[:25].max() == fitted[75:].max() == 0
