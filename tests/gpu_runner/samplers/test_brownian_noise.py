"""The noise of the SDE samplers is k-diffusion's, and so A1111's.

The numbers below were computed by k-diffusion 0.1.1.post1 with torchsde 0.2.6: its ``BrownianTreeNoiseSampler`` and its
``sample_dpmpp_*`` functions, on ``get_sigmas_karras``.
"""

import math
import warnings
from itertools import pairwise

import pytest
import torch

from gpu_runner.samplers import SAMPLERS, SamplerOptions
from gpu_runner.samplers.brownian_noise import BrownianNoise
from gpu_runner.samplers.noise import NoiseStream

CPU = torch.device("cpu")
SHAPE = (4, 8, 8)

# get_sigmas_karras(8, 0.0292, 14.6146)
SIGMAS = [
    14.614602088928223,
    7.903483867645264,
    4.028369426727295,
    1.910859227180481,
    0.8291969895362854,
    0.32130250334739685,
    0.10728425532579422,
    0.02920001931488514,
]
# The first three numbers of each step's noise, and the sum of all, for an image of this seed in a batch of two.
STEPS_OF_SEED = {
    5: [
        (-1.3523283, 1.9050790, 0.2854061, 0.5469605),
        (1.5903492, -1.0574901, 0.9457348, -3.9498303),
        (1.0963553, -0.4868790, -1.1687220, -5.2260859),
        (-2.5525665, 1.5413373, -0.2520185, 23.1429378),
        (0.1146392, -0.3182623, 0.6816051, -30.7194695),
        (-0.3349884, -0.8904959, -1.3142455, 0.8952449),
        (0.6517598, 0.9976115, 0.8223334, 27.6642692),
    ],
    2**32 - 1: [
        (1.2019981, 0.9099268, 0.8881395, -20.2696834),
        (-0.2177240, 0.3923503, -0.4759269, -12.2580666),
        (0.4750664, 1.7664764, -0.7847686, 6.5307376),
        (1.3284159, 1.0893105, 0.4322865, 0.7245971),
        (0.1937391, 0.6450046, 0.4906296, -19.2859589),
        (1.4832549, 0.5327893, -0.3668917, -16.1855303),
        (0.5342264, 0.6637787, -0.3253715, 20.1597810),
    ],
}

# get_sigmas_karras(10, 0.0292, 14.6146), all of it and its part from the fourth on; the image's first three numbers.
SCHEDULE = [
    14.614602088928223,
    9.103404998779297,
    5.4790263175964355,
    3.169205904006958,
    1.7499018907546997,
    0.9144204258918762,
    0.4471447765827179,
    0.20153193175792694,
    0.08198097348213196,
    0.02920001931488514,
    0.0,
]
IMAGES = {
    ("DPM++ SDE", 0): (0.81118, 0.26977, -6.11463),
    ("DPM++ SDE", 4): (0.63177, 0.26142, 0.02171),
    ("DPM++ 2M SDE", 0): (1.40303, 0.15387, -14.74671),
    ("DPM++ 2M SDE", 4): (1.13067, 0.14345, 0.01545),
    ("DPM++ 2M SDE Heun", 0): (1.74417, 0.15511, -16.49781),
    ("DPM++ 2M SDE Heun", 4): (1.34508, 0.14452, 0.01176),
    ("DPM++ 3M SDE", 0): (2.02733, 0.43811, -9.86662),
    ("DPM++ 3M SDE", 4): (1.37764, 0.44249, 0.13579),
}


def noise_of(seed, shape=SHAPE, sigmas=SIGMAS):
    return BrownianNoise(seed, shape, min(sigmas), max(sigmas), CPU)


def denoised(x, sigma):
    """The toy model of the reference: smooth, and not linear."""
    scaled = x / math.sqrt(1 + sigma**2)
    return x - sigma * (torch.tanh(1.5 * scaled) + 0.1 * scaled.roll(1, -1))


def run(sampler):
    try:
        x, sigma = next(sampler)
        while True:
            x, sigma = sampler.send(denoised(x, sigma))
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize("seed", STEPS_OF_SEED)
def test_each_step_has_the_noise_of_k_diffusion(seed):
    noise = noise_of(seed)
    for step, expected in zip(pairwise(SIGMAS), STEPS_OF_SEED[seed], strict=True):
        drawn = noise.between(*step)
        torch.testing.assert_close(drawn.flatten()[:3], torch.tensor(expected[:3]), atol=1e-5, rtol=1e-5)
        assert float(drawn.double().sum()) == pytest.approx(expected[3], abs=1e-3)


@pytest.mark.parametrize(("name", "skipped"), IMAGES)
def test_a_sampler_ends_where_that_of_k_diffusion_ends(name, skipped):
    """With steps skipped as in img2img: its noise is still that of the whole schedule."""
    sigmas, stream = SCHEDULE[skipped:], NoiseStream(77, SHAPE, CPU)
    options = SamplerOptions(eta=1.0, schedule=tuple(SCHEDULE))
    image = run(SAMPLERS[name](stream.draw() * sigmas[0], sigmas, stream, options))
    # DPM++ SDE's middle sigma is rounded in another place, which moves its noise by a thousandth.
    tolerance = 1e-2 if name == "DPM++ SDE" else 1e-4
    expected = torch.tensor(IMAGES[name, skipped])
    torch.testing.assert_close(image.flatten()[:3], expected, atol=tolerance, rtol=1e-4)


def test_a_step_is_the_sum_of_its_parts():
    def increment(noise, start, end):
        return noise.between(start, end) * math.sqrt(start - end)

    fine, coarse = noise_of(1), noise_of(1)
    parts = increment(fine, 9.0, 4.0) + increment(fine, 4.0, 1.0) + increment(fine, 1.0, 0.2)
    torch.testing.assert_close(parts, increment(coarse, 9.0, 0.2), atol=1e-4, rtol=0)


def test_the_order_of_steps_does_not_matter():
    steps = list(pairwise(SIGMAS))
    down, up = noise_of(1), noise_of(1)
    first = [down.between(*step) for step in steps]
    second = [up.between(*step) for step in reversed(steps)][::-1]
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_steps_are_normal_and_independent():
    noise = noise_of(1, (4, 64, 64))
    units = [noise.between(*step) for step in pairwise(SIGMAS)]
    for unit, following in pairwise(units):
        assert abs(unit.mean()) < 0.05
        assert unit.var() == pytest.approx(1, abs=0.06)
        assert abs((unit * following).mean()) < 0.05


def test_the_ends_of_a_schedule_give_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        noise_of(1).between(SIGMAS[0], SIGMAS[-1])
