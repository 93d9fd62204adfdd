"""The normals that torch draws on an NVIDIA card, on any machine.

Philox4x32-10 of Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (2011), with one counter for each number,
and the Box-Muller transform as cuRAND computes it. That is what a card gives for a tensor up to some hundred thousand
numbers; larger ones depend on how many processors the card has.
"""

from __future__ import annotations

import math

import numpy as np

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
LOW = np.uint64(0xFFFFFFFF)
HALF_WORD = np.uint64(32)


class Philox:
    def __init__(self, seed: int) -> None:
        self._key = (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF)
        self._drawn = 0

    def normals(self, shape: tuple[int, ...]) -> np.ndarray:
        count = math.prod(shape)
        counter = [np.zeros(count, dtype=np.uint64) for _ in range(4)]
        counter[0] += np.uint64(self._drawn)
        counter[2] += np.arange(count, dtype=np.uint64)
        self._drawn += 1
        first, second, _, _ = _scrambled(counter, self._key)
        return _box_muller(first, second).astype(np.float32).reshape(shape)


def _scrambled(counter: list[np.ndarray], key: tuple[int, int]) -> list[np.ndarray]:
    for turn in range(ROUNDS):
        keys = [
            np.uint64((part + step * turn) & 0xFFFFFFFF) for part, step in zip(key, KEY_STEPS, strict=True)
        ]
        one = counter[0] * np.uint64(MULTIPLIERS[0])
        two = counter[2] * np.uint64(MULTIPLIERS[1])
        counter = [
            two >> HALF_WORD ^ counter[1] ^ keys[0],
            two & LOW,
            one >> HALF_WORD ^ counter[3] ^ keys[1],
            one & LOW,
        ]
    return counter


def _box_muller(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    u = (first + 0.5) / 2**32
    v = (second + 0.5) / 2**32 * (2 * math.pi)
    return np.sqrt(-2 * np.log(u)) * np.sin(v)
