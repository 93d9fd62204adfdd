"""Face alignment: crop to the template, and paste back."""

import numpy as np
import pytest
from PIL import Image

from gpu_runner.imaging.face_alignment import SIDE, TEMPLATE, Alignment, ellipse, similarity
from gpu_runner.imaging.face_detection import find
from tests.support import face_files
from tests.support.face_files import changed, photograph

pytestmark = pytest.mark.slow


def moved(points, degrees, scale, shift):
    turn = np.radians(degrees)
    matrix = scale * np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    return points @ matrix.T + shift


@pytest.mark.parametrize(
    ("degrees", "scale", "shift"), [(0, 1, (0, 0)), (30, 0.2, (40, 9)), (-170, 3.5, (-80, 700))]
)
def test_rotation_scale_and_translation_are_estimated_exactly(degrees, scale, shift):
    points = moved(TEMPLATE, degrees, scale, shift)
    matrix = similarity(points, TEMPLATE)
    assert np.abs(points @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE).max() < 1e-3


def test_a_reflection_is_never_estimated():
    assert np.linalg.det(similarity(TEMPLATE * (-1, 1), TEMPLATE)[:, :2]) > 0


def test_backward_is_the_inverse_of_forward():
    alignment = Alignment.of(moved(TEMPLATE, 12, 0.3, (50, 60)))
    there, back = alignment.forward, alignment.backward
    assert np.abs(there[:, :2] @ back[:, :2] - np.eye(2)).max() < 1e-9
    assert np.abs(there[:, :2] @ back[:, 2] + there[:, 2]).max() < 1e-9


@pytest.mark.parametrize("degrees", [0, 25, -20])
@pytest.mark.parametrize("side", [160, 320, 1500])
def test_the_eyes_of_a_photograph_are_aligned_to_the_template(degrees, side):
    """As the detector sees them in the square itself."""
    turned = photograph().rotate(degrees, Image.Resampling.BICUBIC, fillcolor="grey").resize((side, side))
    [face] = find(face_files.yunet(), turned)
    square = Alignment.of(face.points).cut(turned)
    [again] = find(face_files.yunet(), square)
    assert square.size == (SIDE, SIDE)
    assert np.abs(again.points[:2] - TEMPLATE[:2]).max() < 25


@pytest.mark.parametrize("side", [100, 320, 1500])
def test_pasting_an_unchanged_square_keeps_the_image(side):
    image = photograph().resize((side, side), Image.Resampling.LANCZOS)
    [face] = find(face_files.yunet(), image)
    alignment, pasted = Alignment.of(face.points), image.copy()
    alignment.paste(alignment.cut(image), pasted, 1.0)
    difference = np.abs(np.asarray(pasted, dtype=int) - np.asarray(image, dtype=int))
    assert difference.max() < 70  # hair and lashes, sampled twice
    assert difference.mean() < 0.6


def test_paste_replaces_the_center_and_keeps_pixels_outside_the_ellipse():
    image, points = photograph(), moved(TEMPLATE, 7, 0.25, (60, 30))
    pasted = image.copy()
    Alignment.of(points).paste(Image.new("RGB", (SIDE, SIDE), (0, 255, 0)), pasted, 1.0)
    left, top = points.min(axis=0).astype(int)
    right, bottom = points.max(axis=0).astype(int)
    assert (np.asarray(pasted)[top:bottom, left:right] == (0, 255, 0)).all()
    across, down = np.meshgrid(np.arange(320) + 0.5, np.arange(320) + 0.5)
    forward = Alignment.of(points).forward
    x, y = (row[0] * across + row[1] * down + row[2] for row in forward)
    outside = np.hypot((x - 256) / 188, (y - 280) / 232) > 1.03
    assert not (changed(image, pasted) & outside).any()


def test_faces_at_or_outside_the_image_edge_are_handled():
    image = photograph()
    for shift in ((-60, -60), (300, 280), (-900, 0), (5000, 5000)):
        square = Alignment.of(moved(TEMPLATE, 0, 0.25, shift)).cut(image)
        Alignment.of(moved(TEMPLATE, 0, 0.25, shift)).paste(square, image, 1.0)
    assert image.size == (320, 320)


def test_the_ellipse_ends_inside_the_square():
    levels = np.asarray(ellipse())
    assert levels[280, 256] == 255
    assert max(levels[0].max(), levels[-1].max(), levels[:, 0].max(), levels[:, -1].max()) < 6
