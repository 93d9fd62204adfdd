"""Types of the samplers, their options, and the solver steps that several samplers share.

Arguments: ``x`` is the latent at ``sigma``, ``denoised`` the model's estimate of x0, ``sigma_next`` the end of the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.request_parts.sampling import UniPC
from gpu_runner.protocol.step_count import eta_of

from .noise import NoiseStream

PLAIN_UNIPC = UniPC()
MAX_CHURN_GAMMA = math.sqrt(2) - 1  # Karras et al. (2022), algorithm 2


@dataclass(frozen=True)
class SamplerOptions:
    """Options of all samplers, named as in k-diffusion. A sampler ignores those it does not have."""

    eta: float = 0.0
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = math.inf
    s_noise: float = 1.0
    unipc: UniPC = PLAIN_UNIPC
    schedule: tuple[float, ...] = ()  # the whole schedule, of which img2img runs the end

    @classmethod
    def of(cls, request: GenerationRequest, schedule: Sequence[float] = ()) -> SamplerOptions:
        """Return the options in a request."""
        return cls(
            eta=eta_of(request),
            s_churn=request.s_churn,
            s_tmin=request.s_tmin,
            s_tmax=math.inf if request.s_tmax is None else request.s_tmax,
            s_noise=request.s_noise,
            unipc=request.unipc,
            schedule=tuple(schedule),
        )


SamplerGenerator = Generator[tuple[Tensor, float], Any, Tensor]
SamplerFunction = Callable[[Tensor, list[float], NoiseStream, SamplerOptions], SamplerGenerator]


def euler_step(x: Tensor, denoised: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """Euler step of the probability flow ODE, dx/dsigma = (x - denoised) / sigma."""
    return x + (x - denoised) / sigma * (sigma_next - sigma)


def exponential_step(x: Tensor, denoised: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """First-order DPM-Solver++ step: exact for a constant denoised estimate. Equals the Euler step in this space."""
    ratio = sigma_next / sigma
    return ratio * x + (1 - ratio) * denoised


def heun_step(x: Tensor, sigma: float, sigma_next: float) -> SamplerGenerator:
    """Heun step: the mean of the slopes at both ends (two evaluations). An Euler step if ``sigma_next`` is 0."""
    denoised = yield x, sigma
    guess = euler_step(x, denoised, sigma, sigma_next)
    if sigma_next == 0:
        return guess
    slope = (x - denoised) / sigma
    denoised = yield guess, sigma_next
    return x + (slope + (guess - denoised) / sigma_next) / 2 * (sigma_next - sigma)


def midpoint_step(x: Tensor, sigma: float, sigma_next: float) -> SamplerGenerator:
    """DPM-Solver-2 step of k-diffusion's ``sample_dpm_2``, with the midpoint in log(sigma). Returns ``denoised`` if ``sigma_next`` is 0."""
    denoised = yield x, sigma
    if sigma_next == 0:
        return denoised
    middle = math.sqrt(sigma * sigma_next)
    guess = euler_step(x, denoised, sigma, middle)
    denoised = yield guess, middle
    return x + (guess - denoised) / middle * (sigma_next - sigma)


def renoise(x: Tensor, sigma_next: float, up: float, noise: NoiseStream) -> Tensor:
    """Add noise of standard deviation ``up``; none if the step ends at sigma 0."""
    return x + noise.draw() * up if sigma_next > 0 and up > 0 else x


def churn(
    x: Tensor, sigma: float, steps: int, noise: NoiseStream, options: SamplerOptions
) -> tuple[Tensor, float]:
    """Add noise before a step ("churn"): Karras et al. (2022), algorithm 2. Returns (x, raised sigma).

    ``steps`` is the number of steps of the schedule. As in k-diffusion, a noise is drawn at every step, also outside of
    s_tmin and s_tmax, so that a step's noise does not depend on the range.
    """
    gamma = min(options.s_churn / steps, MAX_CHURN_GAMMA)
    if gamma <= 0:
        return x, sigma
    fresh = noise.draw()
    if not options.s_tmin <= sigma <= options.s_tmax:
        return x, sigma
    raised = sigma * (1 + gamma)
    return x + fresh * options.s_noise * math.sqrt(raised**2 - sigma**2), raised
