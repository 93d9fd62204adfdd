"""Noise levels and schedules of rectified flow: sigma is the flow time t, from 1 (noise) to 0 (the image). No torch.

Each schedule is spaced in the time before the shift, and then shifted (Esser et al. 2024, "Scaling Rectified Flow
Transformers", equation 23).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gpu_runner.protocol.families.family import Family
from gpu_runner.protocol.request_parts.sampling import SigmaOverrides

from .beta_distribution import beta_quantiles
from .sigmas import NoiseLevels

LEVELS = 1000
RHO = 7.0


class FlowLevels(NoiseLevels):
    """Noise levels of a flow-matching model: a thousand evenly spaced times, shifted by ``factor``.

    ``timestep_at`` counts from 0 to 1000, whatever the denoiser takes.
    """

    is_flow = True

    def __init__(self, factor: float, automatic: str, terminal: float = 0.0) -> None:
        """``automatic`` is the schedule that "Automatic" means; ``terminal`` is that of the family's shift."""
        self.terminal = terminal
        self.factor = factor
        self.automatic = automatic
        self.is_sdxl = False
        self.sigmas = self._shifted(np.arange(1, LEVELS + 1) / LEVELS)

    @classmethod
    def of(cls, family: Family, width: int, height: int, steps: int) -> FlowLevels:
        """Levels for images of this size and this number of steps. The family must be one of flow matching."""
        assert family.flow is not None
        automatic = family.schedulers[0] if family.schedulers else "Simple"
        shift = family.flow.shift
        return cls(shift.of(family.latents.tokens(width, height), steps), automatic, shift.terminal)

    def of_sampler(self, name: str) -> NoiseLevels:
        return self

    def _shifted(self, times: np.ndarray) -> np.ndarray:
        return self.factor * times / (1 + (self.factor - 1) * times)

    def sigmas_at(self, timesteps: Sequence[float] | np.ndarray) -> list[float]:
        """Return the times at ``timesteps`` from 0 to 1000, before the shift."""
        return self._shifted(np.asarray(timesteps, np.float64) / LEVELS).tolist()

    def timestep_at(self, sigma: float) -> float:
        return sigma * LEVELS

    def timestep_between(self, sigma: float) -> float:
        return LEVELS * sigma / (self.factor - (self.factor - 1) * sigma)

    def schedule(self, label: str, steps: int, overrides: SigmaOverrides) -> list[float]:
        """Return ``steps`` + 1 times in descending order, the last of them 0. Raises KeyError for unknown labels."""
        times = SCHEDULES[self.automatic if label == "Automatic" else label](self, steps, overrides)
        shifted = self._shifted(times)
        if self.terminal and shifted[-1] < 1:
            shifted = 1 - (1 - shifted) * (1 - self.terminal) / (1 - shifted[-1])
        return [*shifted.tolist(), 0.0]


def simple(levels: FlowLevels, steps: int, overrides: SigmaOverrides) -> np.ndarray:
    """Every n-th of the thousand levels (ComfyUI's ``simple_scheduler``)."""
    if steps > LEVELS:
        return sgm_uniform(levels, steps, overrides)
    return 1 - (np.arange(steps) * (LEVELS / steps)).astype(int) / LEVELS


def normal(levels: FlowLevels, steps: int, overrides: SigmaOverrides) -> np.ndarray:
    """Linear from 1 to the lowest level, which is shifted twice: FlowMatchEulerDiscreteScheduler of diffusers."""
    return np.linspace(1, float(levels.sigmas[0]), steps)


def sgm_uniform(levels: FlowLevels, steps: int, overrides: SigmaOverrides) -> np.ndarray:
    """Linear from 1 to 0, without the last value: what the pipelines of FLUX.1 and Z-Image use."""
    return np.linspace(1, 0, steps + 1)[:-1]


def beta(levels: FlowLevels, steps: int, overrides: SigmaOverrides) -> np.ndarray:
    """Quantiles of a beta distribution: Lee et al. 2024, "Beta Sampling is All You Need"."""
    probabilities = 1 - np.linspace(0, 1, steps, endpoint=False)
    return np.maximum(beta_quantiles(probabilities, overrides.beta_alpha, overrides.beta_beta), 1 / LEVELS)


def karras(levels: FlowLevels, steps: int, overrides: SigmaOverrides) -> np.ndarray:
    """Karras et al. 2022, equation 5, from 1 to a thousandth; rho is 7 by default."""
    rho = overrides.rho or RHO
    return np.linspace(1, (1 / LEVELS) ** (1 / rho), steps) ** rho


SCHEDULES: dict[str, Callable[[FlowLevels, int, SigmaOverrides], np.ndarray]] = {
    "Simple": simple,
    "Normal": normal,
    "SGM Uniform": sgm_uniform,
    "Beta": beta,
    "Karras": karras,
}
