"""Key points of OpenPose from those of MediaPipe."""

import numpy as np

from gpu_runner.controlnet.preprocessors.pose import key_points

SIZE = (100, 100)
POINTS = np.stack([np.arange(33), np.arange(33) + 40], 1).astype(float)


def test_body_points_have_the_order_of_openpose():
    found = key_points.body(POINTS, np.ones(33), SIZE)
    names = {0: 0, 2: 12, 3: 14, 4: 16, 5: 11, 7: 15, 8: 24, 10: 28, 13: 27, 14: 5, 15: 2, 16: 8, 17: 7}
    assert {number: int(found[number, 0]) for number in names} == names


def test_neck_is_between_the_shoulders():
    visibility = np.ones(33)
    assert key_points.body(POINTS, visibility, SIZE)[1].tolist() == [11.5, 51.5]
    visibility[11] = 0.4
    found = key_points.body(POINTS, visibility, SIZE)
    assert np.isnan(found[1]).all()
    assert np.isnan(found[5]).all()
    assert found[2, 0] == 12


def test_points_outside_of_the_image_are_not_visible():
    found = key_points.inside(np.array([[0.0, 0], [99, 99], [99.5, 5], [-0.1, 5]]), SIZE)
    assert np.isnan(found).any(1).tolist() == [False, False, True, True]


def test_face_has_seventy_points_that_end_with_the_pupils():
    mesh = np.zeros((468, 2))
    mesh[list(key_points.RIGHT_EYE)] = (20, 30)
    mesh[list(key_points.LEFT_EYE)] = (60, 31)
    found = key_points.face(mesh, SIZE)
    assert found.shape == (70, 2)
    assert found[36:42].tolist() == [[20, 30]] * 6
    assert found[42:48].tolist() == [[60, 31]] * 6
    assert found[68:].tolist() == [[20, 30], [60, 31]]
    assert len(set(key_points.FACE)) == 68
