"""Against numbers that an NVIDIA card drew with seed 0, as A1111's rng_philox.py tells them, and the authors' own."""

import numpy as np
import pytest

from gpu_runner.samplers.philox import Philox

DRAWN_BY_A_CARD = [
    [-0.92466259, -0.42534415, -2.6438457, 0.14518388],
    [-0.12086647, -0.57972564, -0.62285122, -0.32838709],
    [-1.07454231, -0.36314407, -1.67105067, 2.26550497],
]
# The authors' known answers for all-zero and all-one words: Random123's kat_vectors.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
]


def test_it_draws_what_the_card_drew():
    np.testing.assert_allclose(Philox(0).normals((3, 4)), DRAWN_BY_A_CARD, atol=1e-6)


@pytest.mark.parametrize(("counter", "key", "scrambled"), KNOWN)
def test_its_words_are_those_of_the_paper(counter, key, scrambled):
    from gpu_runner.samplers.philox import _scrambled

    words = _scrambled([np.array([word], dtype=np.uint64) for word in counter], key)
    assert [int(word[0]) for word in words] == list(scrambled)


def test_the_second_draw_is_another_one_and_normal():
    stream = Philox(2**32 - 1)
    first, second = stream.normals((4, 64, 64)), stream.normals((4, 64, 64))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.03
    assert (second.mean(), second.var()) == (pytest.approx(0, abs=0.03), pytest.approx(1, abs=0.05))
