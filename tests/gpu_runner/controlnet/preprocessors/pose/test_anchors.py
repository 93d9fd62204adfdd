"""Boxes of single-shot detectors."""

import numpy as np

from gpu_runner.controlnet.preprocessors.pose import anchors, holistic


def test_grid_has_the_anchors_of_the_networks():
    assert anchors.grid(holistic.POSE_SIDE, holistic.POSE_STRIDES).shape == (2254, 2)
    faces = anchors.grid(holistic.FACE_DETECTION_SIDE, holistic.FACE_STRIDES)
    assert faces.shape == (896, 2)
    assert faces[0].tolist() == faces[1].tolist() == [1 / 32, 1 / 32]
    assert faces[2].tolist() == [3 / 32, 1 / 32]
    assert faces[-1].tolist() == [15 / 16, 15 / 16]


def found(logits, offsets, min_score=0.5):
    grid = np.array([[0.5, 0.5], [0.5, 0.5], [0.1, 0.1]])
    return anchors.detections(
        np.array(logits, np.float32), np.array(offsets, np.float32), grid, 100, min_score
    )


def test_offsets_are_relative_to_the_anchor():
    [one] = found([3, -3, -3], [[10, 0, 20, 40, 5, -5]] * 3)
    assert np.allclose(one.box, [0.5, 0.3, 0.7, 0.7])
    assert np.allclose(one.points, [[0.55, 0.45]])


def test_overlapping_boxes_are_averaged_by_their_scores():
    [one] = found([0, 0, -9], [[0, 0, 20, 20, 0, 0], [2, 0, 20, 20, 2, 0], [0, 0, 1, 1, 0, 0]])
    assert np.allclose(one.box, [0.41, 0.4, 0.61, 0.6])
    assert np.allclose(one.points, [[0.51, 0.5]])


def test_separate_boxes_stay_by_descending_score():
    first, second = found([1, -9, 2], [[0, 0, 20, 20, 0, 0]] * 3)
    assert first.score > second.score
    assert np.allclose(first.box, [0, 0, 0.2, 0.2])


def test_extreme_and_invalid_values_are_left_out():
    assert found([1e9, -1e9, 5], [[0, 0, 20, 20, 0, 0], [0] * 6, [np.nan] * 6])[0].score == 1
    assert found([-1e9] * 3, [[0] * 6] * 3) == []
