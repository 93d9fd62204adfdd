"""Rotated squares of an image."""

from math import pi, sqrt

import numpy as np
import pytest

from gpu_runner.controlnet.preprocessors.pose.regions import Region, angle_of, bounding

CORNERS = np.array([[0, 0], [1, 0], [0.5, 0.5]])


def test_upright_region_maps_its_corners():
    assert Region(50, 40, 20).in_image(CORNERS).tolist() == [[40, 30], [60, 30], [50, 40]]


def test_region_turned_to_the_right_has_its_top_on_the_right():
    mapped = Region(50, 40, 20, pi / 2).in_image(CORNERS)
    assert np.allclose(mapped, [[60, 30], [60, 50], [50, 40]])


@pytest.mark.parametrize("angle", [0.0, 0.7, pi / 2, -2.0])
def test_crop_shows_a_spot_where_the_mapping_says(angle):
    pixels = np.zeros((120, 160, 3), np.uint8)
    pixels[68:73, 88:93] = 255
    region = Region(80, 60, 60, angle)
    crop = region.crop(pixels, 90)
    rows, columns = np.nonzero(crop[:, :, 0] > 128)
    spot = np.array([[columns.mean() + 0.5, rows.mean() + 0.5]]) / 90
    assert np.allclose(region.in_image(spot), [[90.5, 70.5]], atol=0.5)


def test_crop_is_black_outside_of_the_image():
    pixels = np.full((10, 30, 3), 200, np.uint8)
    crop = Region.around(pixels).crop(pixels, 30)
    assert crop[2].max() == 0
    assert crop[15].min() == 200


@pytest.mark.parametrize(
    ("end", "angle"), [((0, -1), 0), ((1, 0), pi / 2), ((-1, 0), -pi / 2), ((1, -1), pi / 4)]
)
def test_angle_turns_a_vector_upwards(end, angle):
    assert angle_of(np.zeros(2), np.array(end), pi / 2) == pytest.approx(angle)


def test_scaled_region_moves_along_its_own_axis():
    assert Region(0, 0, 10).scaled(2, -0.1) == Region(0, -1, 20)
    moved = Region(0, 0, 10, pi / 2).scaled(2, -0.1)
    assert (moved.x, moved.y, moved.side) == pytest.approx((1, 0, 20))


def test_bounding_square_contains_the_points_at_any_angle():
    points = np.array([[10.0, 10], [30, 10], [30, 20], [10, 20]])
    assert bounding(points, 0) == Region(20, 15, 20)
    turned = bounding(points, pi / 4)
    assert (turned.x, turned.y, turned.side) == pytest.approx((20, 15, 30 / sqrt(2)))
