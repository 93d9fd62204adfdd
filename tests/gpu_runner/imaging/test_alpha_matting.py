"""Refinement of masks, measured against an image whose true alpha and foreground color are known."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from gpu_runner.imaging import alpha_matting
from gpu_runner.imaging.alpha_matting import foreground_colors, post_processed, refined, trimap
from gpu_runner.protocol.request_parts.backgrounds import AlphaMatting

RED, GREEN = (220, 30, 40), (30, 160, 60)


def soft_disk(side=160):
    """An image of a red disk with a soft edge before green, its alpha, and a hard mask of it."""
    disk = Image.new("L", (side, side))
    ImageDraw.Draw(disk).ellipse((side // 4, side // 4, side * 3 // 4, side * 3 // 4), fill=255)
    alpha = disk.filter(ImageFilter.GaussianBlur(4))
    image = Image.composite(Image.new("RGB", disk.size, RED), Image.new("RGB", disk.size, GREEN), alpha)
    return image, alpha, disk


def error(one, other):
    return np.abs(np.asarray(one, int) - np.asarray(other, int)).mean()


@pytest.mark.parametrize("most", [alpha_matting.MAX_PIXELS, 80 * 80], ids=["full size", "reduced"])
def test_refined_mask_follows_the_soft_edge(monkeypatch, most):
    monkeypatch.setattr(alpha_matting, "MAX_PIXELS", most)
    image, alpha, disk = soft_disk()
    found = refined(image, disk, AlphaMatting(erode_size=20))
    assert error(found, alpha) < error(disk, alpha) / 3
    assert found.getpixel((80, 80)) == 255
    assert found.getpixel((4, 4)) == 0


@pytest.mark.parametrize("most", [alpha_matting.MAX_PIXELS, 80 * 80], ids=["full size", "reduced"])
def test_foreground_has_no_color_of_the_background(monkeypatch, most):
    monkeypatch.setattr(alpha_matting, "MAX_PIXELS", most)
    image, alpha, _disk = soft_disk()
    visible = np.asarray(alpha) > 60
    found = np.asarray(foreground_colors(image, alpha), int)[visible]
    before = np.asarray(image, int)[visible]
    assert np.abs(found - RED).mean() < np.abs(before - RED).mean() / 3


def test_trimap_leaves_a_band_of_the_erosion_on_both_sides_of_the_edge():
    half = Image.fromarray(np.repeat([[0] * 20 + [255] * 20], 40, axis=0).astype(np.uint8))
    row = trimap(half, AlphaMatting(erode_size=5))[20]
    assert list(row) == [0] * 18 + [128] * 4 + [255] * 18


def test_thresholds_decide_what_is_certain():
    grey = Image.new("L", (20, 20), 100)
    assert (trimap(grey, AlphaMatting(foreground_threshold=90, background_threshold=0)) == 255).all()
    assert (trimap(grey, AlphaMatting(background_threshold=110)) == 0).all()
    assert (trimap(grey, AlphaMatting()) == 128).all()


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match=r"at most foreground_threshold \(got 200 and 100\)"):
        AlphaMatting(foreground_threshold=100, background_threshold=200)


def test_post_processing_removes_specks_and_rounds():
    _image, alpha, _disk = soft_disk()
    noisy = alpha.copy()
    noisy.putpixel((5, 5), 255)
    found = np.asarray(post_processed(noisy))
    assert set(np.unique(found)) == {0, 255}
    assert found[5, 5] == 0
    assert found[80, 80] == 255
