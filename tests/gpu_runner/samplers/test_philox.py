"""Philox, against numbers drawn by an NVIDIA GPU (from A1111's rng_philox.py) and the authors' known answers."""

import numpy as np
import pytest

from gpu_runner.samplers.philox import Philox, philox_words

DRAWN_BY_A_GPU = [
    [-0.92466259, -0.42534415, -2.6438457, 0.14518388],
    [-0.12086647, -0.57972564, -0.62285122, -0.32838709],
    [-1.07454231, -0.36314407, -1.67105067, 2.26550497],
]
# Known answers for all-zero and all-one words, from Random123's kat_vectors.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
]


def test_normals_equal_those_of_a_gpu():
    np.testing.assert_allclose(Philox(0).normals((3, 4)), DRAWN_BY_A_GPU, atol=1e-6)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_words_equal_the_known_answers(counter, key, words):
    computed = philox_words([np.array([word], dtype=np.uint64) for word in counter], key)
    assert [int(word[0]) for word in computed] == list(words)


def test_consecutive_draws_are_independent_and_normal():
    stream = Philox(2**32 - 1)
    first, second = stream.normals((4, 64, 64)), stream.normals((4, 64, 64))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.03
    assert (second.mean(), second.var()) == (pytest.approx(0, abs=0.03), pytest.approx(1, abs=0.05))
