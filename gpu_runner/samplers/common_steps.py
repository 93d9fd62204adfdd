"""What the samplers are made of: their signature, their options, and the steps that several of them take."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.generation_request import UniPC
from gpu_runner.protocol.step_count import eta_of

from .noise import NoiseStream

PLAIN_UNIPC = UniPC()
MOST_CHURN = math.sqrt(2) - 1


@dataclass(frozen=True)
class SamplerOptions:
    """Each sampler looks at those that mean something to it."""

    eta: float = 0.0
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = math.inf
    s_noise: float = 1.0
    unipc: UniPC = PLAIN_UNIPC
    schedule: tuple[float, ...] = ()  # the whole one, of which img2img runs the last part

    @classmethod
    def of(cls, request: GenerationRequest, schedule: Sequence[float] = ()) -> SamplerOptions:
        return cls(
            eta=eta_of(request),
            s_churn=request.s_churn,
            s_tmin=request.s_tmin,
            s_tmax=math.inf if request.s_tmax is None else request.s_tmax,
            s_noise=request.s_noise,
            unipc=request.unipc,
            schedule=tuple(schedule),
        )


Walk = Generator[tuple[Tensor, float], Any, Tensor]
Sampler = Callable[[Tensor, list[float], NoiseStream, SamplerOptions], Walk]


def euler_step(x: Tensor, denoised: Tensor, sigma: float, following: float) -> Tensor:
    return x + (x - denoised) / sigma * (following - sigma)


def exponential_step(x: Tensor, denoised: Tensor, sigma: float, following: float) -> Tensor:
    """Exact where the denoised estimate stays the same: first-order DPM-Solver++."""
    ratio = following / sigma
    return ratio * x + (1 - ratio) * denoised


def heun_step(x: Tensor, sigma: float, following: float) -> Walk:
    """The mean of the slopes at both ends; where it ends at zero there is no second one."""
    denoised = yield x, sigma
    guess = euler_step(x, denoised, sigma, following)
    if following == 0:
        return guess
    slope = (x - denoised) / sigma
    denoised = yield guess, following
    return x + (slope + (guess - denoised) / following) / 2 * (following - sigma)


def midpoint_step(x: Tensor, sigma: float, following: float) -> Walk:
    denoised = yield x, sigma
    if following == 0:
        return denoised
    middle = math.sqrt(sigma * following)
    guess = euler_step(x, denoised, sigma, middle)
    denoised = yield guess, middle
    return x + (guess - denoised) / middle * (following - sigma)


def renoise(x: Tensor, following: float, up: float, noise: NoiseStream) -> Tensor:
    """The last step draws nothing, whatever eta says."""
    return x + noise.draw() * up if following > 0 and up > 0 else x


def churn(
    x: Tensor, sigma: float, steps: int, noise: NoiseStream, options: SamplerOptions
) -> tuple[Tensor, float]:
    """Some noise more before a step, as in Karras et al. (2022), algorithm 2."""
    gamma = min(options.s_churn / steps, MOST_CHURN)
    if gamma <= 0 or not options.s_tmin <= sigma <= options.s_tmax:
        return x, sigma
    raised = sigma * (1 + gamma)
    return x + noise.draw() * options.s_noise * math.sqrt(raised**2 - sigma**2), raised
