"""The samplers, each a generator for ONE picture in sigma space.

It yields (x, sigma), is sent the denoised estimate of x, and returns the last x. The formulas are k-diffusion's and the
papers'. In sigma space a noisy latent is ``clean + sigma * noise``; the variance-preserving x of DDIM and UniPC is the
same thing divided by sqrt(1 + sigma**2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from itertools import pairwise

import torch
from numpy.polynomial import Polynomial
from torch import Tensor

from gpu_runner import catalogue
from gpu_runner.noise import NoiseStream

Walk = Generator[tuple[Tensor, float], Tensor, Tensor]
Sampler = Callable[[Tensor, list[float], NoiseStream, float], Walk]


def euler(x: Tensor, sigmas: list[float], noise: NoiseStream, eta: float) -> Walk:
    for sigma, following in pairwise(sigmas):
        denoised = yield x, sigma
        x = _euler_step(x, denoised, sigma, following)
    return x


def euler_ancestral(x: Tensor, sigmas: list[float], noise: NoiseStream, eta: float) -> Walk:
    for sigma, following in pairwise(sigmas):
        denoised = yield x, sigma
        down, up = ancestral_split(sigma, following, eta)
        x = _renoise(_euler_step(x, denoised, sigma, down), following, up, noise)
    return x


def heun(x: Tensor, sigmas: list[float], noise: NoiseStream, eta: float) -> Walk:
    for sigma, following in pairwise(sigmas):
        denoised = yield x, sigma
        guess = _euler_step(x, denoised, sigma, following)
        if following == 0:
            x = guess
            continue
        slope = (x - denoised) / sigma
        denoised = yield guess, following
        x = x + (slope + (guess - denoised) / following) / 2 * (following - sigma)
    return x


def dpm_2(x: Tensor, sigmas: list[float], noise: NoiseStream, eta: float) -> Walk:
    for sigma, following in pairwise(sigmas):
        x = yield from _midpoint_step(x, sigma, following)
    return x


def dpm_2_ancestral(x: Tensor, sigmas: list[float], noise: NoiseStream, eta: float) -> Walk:
    for sigma, following in pairwise(sigmas):
        down, up = ancestral_split(sigma, following, eta)
        x = _renoise((yield from _midpoint_step(x, sigma, down)), following, up, noise)
    return x


def dpmpp_2s_ancestral(x: Tensor, sigmas: list[float], noise: NoiseStream, eta: float) -> Walk:
    for sigma, following in pairwise(sigmas):
        down, up = ancestral_split(sigma, following, eta)
        denoised = yield x, sigma
        if down > 0:
            middle = math.sqrt(sigma * down)
            denoised = yield _exponential_step(x, denoised, sigma, middle), middle
        x = _renoise(_exponential_step(x, denoised, sigma, down), following, up, noise)
    return x


def dpmpp_2m(x: Tensor, sigmas: list[float], noise: NoiseStream, eta: float) -> Walk:
    earlier: tuple[Tensor, float] | None = None
    for sigma, following in pairwise(sigmas):
        denoised = yield x, sigma
        estimate = denoised
        if earlier is not None and following > 0:
            ratio = math.log(earlier[1] / sigma) / math.log(sigma / following)
            estimate = denoised + (denoised - earlier[0]) / (2 * ratio)
        x = _exponential_step(x, estimate, sigma, following)
        earlier = denoised, sigma
    return x


def lms(x: Tensor, sigmas: list[float], noise: NoiseStream, eta: float) -> Walk:
    slopes: list[Tensor] = []
    for step, (sigma, following) in enumerate(pairwise(sigmas)):
        denoised = yield x, sigma
        slopes = [(x - denoised) / sigma, *slopes[:3]]
        known = sigmas[step - len(slopes) + 1 : step + 1][::-1]
        for index, slope in enumerate(slopes):
            x = x + slope * _lagrange_integral(known, index, sigma, following)
    return x


def ddim(x: Tensor, sigmas: list[float], noise: NoiseStream, eta: float) -> Walk:
    for sigma, following in pairwise(sigmas):
        denoised = yield x, sigma
        alpha, alpha_following = 1 / (1 + sigma**2), 1 / (1 + following**2)
        fresh = eta * math.sqrt((1 - alpha_following) / (1 - alpha) * (1 - alpha / alpha_following))
        kept = math.sqrt(max(1 - alpha_following - fresh**2, 0) / alpha_following)
        x = denoised + (x - denoised) / sigma * kept
        x = _renoise(x, following, fresh / math.sqrt(alpha_following), noise)
    return x


def unipc(x: Tensor, sigmas: list[float], noise: NoiseStream, eta: float) -> Walk:
    """UniPC-bh1 of order 3 on the data prediction, multistep, lower order at both ends.

    Each model call serves twice: it corrects the step that led there, then predicts the next one.
    """
    levels: list[float] = []
    estimates: list[Tensor] = []
    before, order = x, 0
    for step, (sigma, following) in enumerate(pairwise(sigmas)):
        denoised = yield x, sigma
        if step > 0:
            x = _unipc_step(before, levels[-order:], estimates[-order:], sigma, denoised)
        levels, estimates = [*levels, sigma][-3:], [*estimates, denoised][-3:]
        order = min(3, step + 1, len(sigmas) - 1 - step)
        before, x = x, _unipc_step(x, levels[-order:], estimates[-order:], following)
    return x


SAMPLERS: dict[str, Sampler] = {
    "DPM++ 2M": dpmpp_2m,
    "DPM++ 2S a": dpmpp_2s_ancestral,
    "Euler a": euler_ancestral,
    "Euler": euler,
    "LMS": lms,
    "Heun": heun,
    "DPM2": dpm_2,
    "DPM2 a": dpm_2_ancestral,
    "DDIM": ddim,
    "UniPC": unipc,
}


def evaluations(name: str, sigmas: list[float], eta: float) -> int:
    """How often the walk will ask the model: a second-order one twice a step, but once where the step ends at zero."""
    if not catalogue.sampler(name).second_order:
        return len(sigmas) - 1
    ancestral = catalogue.sampler(name).default_eta is not None
    ends = (ancestral_split(*step, eta)[0] if ancestral else step[1] for step in pairwise(sigmas))
    return sum(2 if end > 0 else 1 for end in ends)


def ancestral_split(sigma: float, following: float, eta: float) -> tuple[float, float]:
    """Down to which sigma to denoise, and how much fresh noise then leads up to the following one."""
    up = min(following, eta * math.sqrt(following**2 * (sigma**2 - following**2) / sigma**2))
    return math.sqrt(following**2 - up**2), up


def _euler_step(x: Tensor, denoised: Tensor, sigma: float, following: float) -> Tensor:
    return x + (x - denoised) / sigma * (following - sigma)


def _exponential_step(x: Tensor, denoised: Tensor, sigma: float, following: float) -> Tensor:
    """Exact where the denoised estimate stays the same: first-order DPM-Solver++."""
    ratio = following / sigma
    return ratio * x + (1 - ratio) * denoised


def _midpoint_step(x: Tensor, sigma: float, following: float) -> Walk:
    denoised = yield x, sigma
    if following == 0:
        return denoised
    middle = math.sqrt(sigma * following)
    guess = _euler_step(x, denoised, sigma, middle)
    denoised = yield guess, middle
    return x + (guess - denoised) / middle * (following - sigma)


def _renoise(x: Tensor, following: float, up: float, noise: NoiseStream) -> Tensor:
    """The last step draws nothing, whatever eta says."""
    return x + noise.draw() * up if following > 0 and up > 0 else x


def _lagrange_integral(known: list[float], index: int, start: float, end: float) -> float:
    basis = Polynomial([1.0])
    for other, sigma in enumerate(known):
        if other != index:
            basis *= Polynomial([-sigma, 1.0]) / (known[index] - sigma)
    integral = basis.integ()
    return float(integral(end) - integral(start))


def _unipc_step(
    x: Tensor, levels: list[float], estimates: list[Tensor], following: float, arrived: Tensor | None = None
) -> Tensor:
    """From ``levels[-1]`` to ``following``. With ``arrived``, the estimate made there, it corrects; without, it predicts."""
    sigma, denoised = levels[-1], estimates[-1]
    x = _exponential_step(x, denoised, sigma, following)
    h = math.log(sigma / following)
    ratios = [math.log(sigma / level) / h for level in levels[:-1]][::-1]
    differences = [(old - denoised) / ratio for old, ratio in zip(estimates[:-1][::-1], ratios, strict=True)]
    if arrived is not None:
        ratios, differences = [*ratios, 1.0], [*differences, arrived - denoised]
    for weight, difference in zip(_unipc_weights(ratios, h), differences, strict=True):
        x = x + h * weight * difference  # B(h) of bh1 is -h on data predictions
    return x


def _unipc_weights(ratios: list[float], h: float) -> list[float]:
    """Solves for the weights that match the exponential integrator's series up to the order at hand."""
    if not ratios:
        return []
    if len(ratios) == 1:
        return [0.5]  # the papers' simplification where only one difference is known
    rows = [[ratio**power for ratio in ratios] for power in range(len(ratios))]
    solution = torch.linalg.solve(torch.tensor(rows, dtype=torch.float64), _unipc_series(len(ratios), h))
    return solution.tolist()


def _unipc_series(order: int, h: float) -> Tensor:
    terms, phi, factorial = [], math.expm1(-h) / -h - 1, 1
    for power in range(1, order + 1):
        factorial *= power
        terms.append(phi * factorial / -h)
        phi = phi / -h - 1 / (factorial * (power + 1))
    return torch.tensor(terms, dtype=torch.float64)
