"""One path, whoever looks at it."""

import itertools
import math

import pytest
import torch

from gpu_runner.samplers.brownian_noise import BrownianPath

SHAPE = (4, 32, 32)
LOW, HIGH = 0.03, 14.6


def path(seed=1, shape=SHAPE):
    return BrownianPath(seed, shape, LOW, HIGH, torch.device("cpu"))


def way(path, start, end):
    return path.unit(start, end) * math.sqrt(start - end)


def test_a_step_is_the_sum_of_its_parts():
    fine, coarse = path(), path()
    parts = way(fine, 9.0, 4.0) + way(fine, 4.0, 1.0) + way(fine, 1.0, 0.2)
    torch.testing.assert_close(parts, way(coarse, 9.0, 0.2), atol=1e-4, rtol=0)


def test_the_order_of_looking_does_not_matter():
    forth, back = path(), path()
    steps = [(14.6, 3.0), (3.0, 0.5), (0.5, 0.03)]
    first = [forth.unit(*step) for step in steps]
    second = [back.unit(*step) for step in steps[::-1]][::-1]
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("steps", [5, 40])
def test_steps_are_normal_and_independent(steps):
    edges = torch.logspace(math.log10(HIGH), math.log10(LOW), steps + 1).tolist()
    one = path(shape=(4, 64, 64))
    units = [one.unit(*step) for step in itertools.pairwise(edges)]
    for unit, following in itertools.pairwise(units):
        assert abs(unit.mean()) < 0.05
        assert unit.var() == pytest.approx(1, abs=0.06)
        assert abs((unit * following).mean()) < 0.05


def test_another_seed_is_another_path():
    one, other = path(1).unit(9, 4), path(2).unit(9, 4)
    assert abs((one * other).mean()) < 0.06
    assert torch.equal(one, path(1).unit(9, 4))
