"""The normal random numbers of torch's CUDA generator, computed on the CPU.

Philox4x32-10 of Salmon et al. (2011), "Parallel Random Numbers: As Easy as 1, 2, 3", with one counter per number,
and the Box-Muller transform of cuRAND, as in A1111's ``rng_philox.py``. Equals CUDA for tensors of up to some hundred thousand numbers; the order in larger ones
depends on the number of multiprocessors of the GPU.
"""

from __future__ import annotations

import math

import numpy as np

# Constants of the paper.
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
LOW = np.uint64(0xFFFFFFFF)
HALF_WORD = np.uint64(32)


class Philox:
    """Generator with a seed from 0 to 2**64 - 1. Each call of ``normals`` advances the offset by one."""

    def __init__(self, seed: int) -> None:
        self._key = (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF)
        self._drawn = 0

    def normals(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return standard normal float32 numbers of this shape."""
        count = math.prod(shape)
        counter = [np.zeros(count, dtype=np.uint64) for _ in range(4)]
        counter[0] += np.uint64(self._drawn)
        counter[2] += np.arange(count, dtype=np.uint64)
        self._drawn += 1
        first, second, _, _ = philox_words(counter, self._key)
        return _box_muller(first, second).astype(np.float32).reshape(shape)


def philox_words(counter: list[np.ndarray], key: tuple[int, int]) -> list[np.ndarray]:
    """Apply the 10 rounds of Philox4x32 to four arrays of 32-bit counter words (dtype uint64). Returns four arrays."""
    for round_number in range(ROUNDS):
        keys = [
            np.uint64((part + step * round_number) & 0xFFFFFFFF)
            for part, step in zip(key, KEY_STEPS, strict=True)
        ]
        product_0 = counter[0] * np.uint64(MULTIPLIERS[0])
        product_2 = counter[2] * np.uint64(MULTIPLIERS[1])
        counter = [
            product_2 >> HALF_WORD ^ counter[1] ^ keys[0],
            product_2 & LOW,
            product_0 >> HALF_WORD ^ counter[3] ^ keys[1],
            product_0 & LOW,
        ]
    return counter


def _box_muller(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    u = (first + 0.5) / 2**32
    v = (second + 0.5) / 2**32 * (2 * math.pi)
    return np.sqrt(-2 * np.log(u)) * np.sin(v)
