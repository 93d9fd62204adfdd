"""Schedules of sigmas, from the noisiest to the cleanest, as k-diffusion and A1111 build them. All in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from gpu_runner import catalogue


class NoiseLevels:
    """The noise levels a model was trained on. Between two of them, the logarithm of sigma is linear in the timestep."""

    def __init__(self, alphas_cumprod: torch.Tensor) -> None:
        alphas = alphas_cumprod.double().cpu().numpy()
        self.sigmas = np.sqrt((1 - alphas) / alphas)
        self._logs = np.log(self.sigmas)
        self._timesteps = np.arange(len(self.sigmas), dtype=np.float64)

    @property
    def low(self) -> float:
        return float(self.sigmas[0])

    @property
    def high(self) -> float:
        return float(self.sigmas[-1])

    @property
    def last_timestep(self) -> int:
        return len(self.sigmas) - 1

    def sigmas_at(self, timesteps: Sequence[float] | np.ndarray) -> list[float]:
        return np.exp(np.interp(timesteps, self._timesteps, self._logs)).tolist()

    def timestep_at(self, sigma: float) -> float:
        return float(np.interp(math.log(sigma), self._logs, self._timesteps))


def uniform(levels: NoiseLevels, steps: int) -> list[float]:
    return [*levels.sigmas_at(np.linspace(levels.last_timestep, 0, steps)), 0.0]


def karras(levels: NoiseLevels, steps: int, rho: float = 7.0) -> list[float]:
    ramp = np.linspace(levels.high ** (1 / rho), levels.low ** (1 / rho), steps)
    return [*(ramp**rho).tolist(), 0.0]


def polyexponential(levels: NoiseLevels, steps: int, rho: float = 1.0) -> list[float]:
    ramp = np.linspace(1, 0, steps) ** rho
    logs = math.log(levels.low) + ramp * (math.log(levels.high) - math.log(levels.low))
    return [*np.exp(logs).tolist(), 0.0]


def sgm_uniform(levels: NoiseLevels, steps: int) -> list[float]:
    return [*levels.sigmas_at(np.linspace(levels.last_timestep, 0, steps + 1)[:-1]), 0.0]


def kl_optimal(levels: NoiseLevels, steps: int) -> list[float]:
    """Ends at the lowest trained level, not at zero."""
    return np.tan(np.linspace(math.atan(levels.high), math.atan(levels.low), steps + 1)).tolist()


ALIGN_YOUR_STEPS_SD1 = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)


def align_your_steps(levels: NoiseLevels, steps: int) -> list[float]:
    places = np.linspace(0, 1, len(ALIGN_YOUR_STEPS_SD1))
    logs = np.interp(np.linspace(0, 1, steps), places, np.log(ALIGN_YOUR_STEPS_SD1))
    return [*np.exp(logs).tolist(), 0.0]


def simple(levels: NoiseLevels, steps: int) -> list[float]:
    stride = len(levels.sigmas) / steps
    return [*(float(levels.sigmas[-1 - int(step * stride)]) for step in range(steps)), 0.0]


def ddim(levels: NoiseLevels, steps: int) -> list[float]:
    """Rounds the stride down, so that it may be some steps longer than asked for."""
    stride = max(len(levels.sigmas) // steps, 1)
    return [*levels.sigmas[1::stride][::-1].tolist(), 0.0]


def beta(levels: NoiseLevels, steps: int) -> list[float]:
    places = _beta_quantiles(1 - np.linspace(0, 1, steps), 0.6)
    return [*(levels.low + places * (levels.high - levels.low)).tolist(), 0.0]


def _beta_quantiles(probabilities: np.ndarray, shape: float) -> np.ndarray:
    """Of the symmetric beta distribution, from its integral over x = sin² θ, where the density has no poles."""
    edges = np.linspace(0, math.pi / 2, 100_001)
    middles = (edges[1:] + edges[:-1]) / 2
    mass = np.concatenate(([0.0], np.cumsum((np.sin(middles) * np.cos(middles)) ** (2 * shape - 1))))
    return np.sin(np.interp(probabilities, mass / mass[-1], edges)) ** 2


SCHEDULES: dict[str, Callable[[NoiseLevels, int], list[float]]] = {
    "Uniform": uniform,
    "Karras": karras,
    "Exponential": polyexponential,
    "Polyexponential": polyexponential,
    "SGM Uniform": sgm_uniform,
    "KL Optimal": kl_optimal,
    "Align Your Steps": align_your_steps,
    "Simple": simple,
    "Normal": uniform,
    "DDIM": ddim,
    "Beta": beta,
}


def ddim_steps(levels: NoiseLevels, steps: int) -> list[float]:
    """A1111's own timesteps for DDIM: every (1000 // steps)th, one on, and no zero at the end.

    A single step would have nowhere to go and return its noise: it gets the longest way instead.
    """
    last = levels.last_timestep
    timesteps = [min(t + 1, last) for t in range(0, last + 1, (last + 1) // steps)]
    return levels.sigmas_at((timesteps if len(timesteps) > 1 else [1, last])[::-1])


def unipc_steps(levels: NoiseLevels, steps: int) -> list[float]:
    """Uniform in time down to the cleanest trained level."""
    return levels.sigmas_at(np.linspace(levels.last_timestep, 0, steps + 1))


OWN_STEPS: dict[str, Callable[[NoiseLevels, int], list[float]]] = {"DDIM": ddim_steps, "UniPC": unipc_steps}


def sigmas_for(levels: NoiseLevels, sampler_name: str, scheduler_label: str, steps: int) -> list[float]:
    if sampler_name in OWN_STEPS:
        return OWN_STEPS[sampler_name](levels, steps)
    schedule = SCHEDULES[catalogue.effective_scheduler(sampler_name, scheduler_label)]
    if not catalogue.sampler(sampler_name).discard_penultimate:
        return schedule(levels, steps)
    sigmas = schedule(levels, steps + 1)
    return [*sigmas[:-2], sigmas[-1]]


def img2img_part(sampler_name: str, sigmas: list[float], steps: int, strength: float) -> list[float]:
    """The end of a schedule that img2img walks, counted as A1111 counts it."""
    effective = int(min(strength, 0.999) * steps)
    if sampler_name == "DDIM":
        return sigmas[-max(effective, 1) :]
    if sampler_name == "UniPC":
        return sigmas[-effective - 1 :]
    return sigmas[max(steps - effective - 1, 0) :]
