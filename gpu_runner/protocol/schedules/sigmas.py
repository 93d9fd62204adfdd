"""Schedules of sigmas, from the noisiest to the cleanest, as k-diffusion and A1111 build them. All in float64, no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from gpu_runner.protocol import sampler_catalog
from gpu_runner.protocol.generation_request import SigmaOverrides, UniPC

from .beta_distribution import beta_quantiles

STRAIGHT = SigmaOverrides()
MOST_STEPS = 20_000  # of a schedule of which only the end is walked


class NoiseLevels:
    """The noise levels a model was trained on. Between two of them, the logarithm of sigma is linear in the timestep."""

    def __init__(self, alphas_cumprod: ArrayLike, *, is_sdxl: bool = False) -> None:
        self.alphas_cumprod = alphas = np.asarray(alphas_cumprod, np.float64)
        self.is_sdxl = is_sdxl
        self.sigmas = np.sqrt((1 - alphas) / alphas)
        self._logs = np.log(self.sigmas)
        self._timesteps = np.arange(len(self.sigmas), dtype=np.float64)

    def of_sampler(self, name: str) -> NoiseLevels:
        return LcmLevels(self.alphas_cumprod, is_sdxl=self.is_sdxl) if name == "LCM" else self

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

    def timestep_between(self, sigma: float) -> float:
        """On the scale of ``sigmas_at``."""
        return NoiseLevels.timestep_at(self, sigma)


class LcmLevels(NoiseLevels):
    """The fifty of them that latent consistency models are distilled on. The model is only asked about these."""

    GRID = 50

    def __init__(self, alphas_cumprod: np.ndarray, *, is_sdxl: bool = False) -> None:
        self._stride = len(alphas_cumprod) // self.GRID
        super().__init__(alphas_cumprod[self._stride - 1 :: self._stride], is_sdxl=is_sdxl)

    def timestep_at(self, sigma: float) -> float:
        nearest = int(np.abs(self._logs - math.log(sigma)).argmin())
        return float((nearest + 1) * self._stride - 1)


def _ends(levels: NoiseLevels, bend: SigmaOverrides) -> tuple[float, float]:
    return bend.sigma_max or levels.high, bend.sigma_min or levels.low


def uniform(levels: NoiseLevels, steps: int, bend: SigmaOverrides = STRAIGHT) -> list[float]:
    return [*levels.sigmas_at(np.linspace(levels.last_timestep, 0, steps)), 0.0]


def normal(levels: NoiseLevels, steps: int, bend: SigmaOverrides = STRAIGHT) -> list[float]:
    high, low = map(levels.timestep_between, _ends(levels, bend))
    return [*levels.sigmas_at(np.linspace(high, low, steps)), 0.0]


def karras(levels: NoiseLevels, steps: int, bend: SigmaOverrides = STRAIGHT) -> list[float]:
    high, low = _ends(levels, bend)
    rho = bend.rho or 7.0
    ramp = np.linspace(high ** (1 / rho), low ** (1 / rho), steps)
    return [*(ramp**rho).tolist(), 0.0]


def exponential(levels: NoiseLevels, steps: int, bend: SigmaOverrides = STRAIGHT) -> list[float]:
    high, low = _ends(levels, bend)
    return [*np.geomspace(high, low, steps).tolist(), 0.0]


def polyexponential(levels: NoiseLevels, steps: int, bend: SigmaOverrides = STRAIGHT) -> list[float]:
    high, low = _ends(levels, bend)
    ramp = np.linspace(1, 0, steps) ** (bend.rho or 1.0)
    return [*(low * (high / low) ** ramp).tolist(), 0.0]


def sgm_uniform(levels: NoiseLevels, steps: int, bend: SigmaOverrides = STRAIGHT) -> list[float]:
    high, low = map(levels.timestep_between, _ends(levels, bend))
    return [*levels.sigmas_at(np.linspace(high, low, steps + 1)[:-1]), 0.0]


def kl_optimal(levels: NoiseLevels, steps: int, bend: SigmaOverrides = STRAIGHT) -> list[float]:
    """Ends at the lowest level, not at zero."""
    high, low = _ends(levels, bend)
    return np.tan(np.linspace(math.atan(high), math.atan(low), steps + 1)).tolist()


ALIGN_YOUR_STEPS_SD1 = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)
ALIGN_YOUR_STEPS_SDXL = (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029)


def align_your_steps(levels: NoiseLevels, steps: int, bend: SigmaOverrides = STRAIGHT) -> list[float]:
    table = ALIGN_YOUR_STEPS_SDXL if levels.is_sdxl else ALIGN_YOUR_STEPS_SD1
    logs = np.interp(np.linspace(0, 1, steps), np.linspace(0, 1, len(table)), np.log(table))
    return [*np.exp(logs).tolist(), 0.0]


def simple(levels: NoiseLevels, steps: int, bend: SigmaOverrides = STRAIGHT) -> list[float]:
    """The trained levels have not enough for more steps than there are of them: those lie between."""
    stride = len(levels.sigmas) / steps
    if stride < 1:
        return uniform(levels, steps)
    return [*(float(levels.sigmas[-1 - int(step * stride)]) for step in range(steps)), 0.0]


def ddim(levels: NoiseLevels, steps: int, bend: SigmaOverrides = STRAIGHT) -> list[float]:
    """Rounds the stride down, so that it may be some steps longer than asked for."""
    stride = max(len(levels.sigmas) // steps, 1)
    return [*levels.sigmas[1::stride][::-1].tolist(), 0.0]


def beta(levels: NoiseLevels, steps: int, bend: SigmaOverrides = STRAIGHT) -> list[float]:
    high, low = _ends(levels, bend)
    places = beta_quantiles(1 - np.linspace(0, 1, steps), bend.beta_alpha, bend.beta_beta)
    return [*(low + places * (high - low)).tolist(), 0.0]


SCHEDULES: dict[str, Callable[[NoiseLevels, int, SigmaOverrides], list[float]]] = {
    "Uniform": uniform,
    "Karras": karras,
    "Exponential": exponential,
    "Polyexponential": polyexponential,
    "SGM Uniform": sgm_uniform,
    "KL Optimal": kl_optimal,
    "Align Your Steps": align_your_steps,
    "Simple": simple,
    "Normal": normal,
    "DDIM": ddim,
    "Beta": beta,
}


def ddim_steps(levels: NoiseLevels, steps: int) -> list[float]:
    """A1111's own timesteps for DDIM: every (1000 // steps)th, one on, and no zero at the end.

    A single step would have nowhere to go and return its noise: it gets the longest way instead.
    """
    last = levels.last_timestep
    timesteps = [min(t + 1, last) for t in range(0, last + 1, max((last + 1) // steps, 1))]
    return levels.sigmas_at((sorted(set(timesteps)) if len(timesteps) > 1 else [1, last])[::-1])


def unipc_steps(levels: NoiseLevels, steps: int, skip_type: str = "time_uniform") -> list[float]:
    """Down to the cleanest trained level, evenly in time, in its root, or in the logarithm of sigma."""
    if skip_type == "logSNR":
        return np.geomspace(levels.high, levels.low, steps + 1).tolist()
    if skip_type == "time_quadratic":
        return levels.sigmas_at(np.linspace(len(levels.sigmas) ** 0.5, 1, steps + 1) ** 2 - 1)
    return levels.sigmas_at(np.linspace(levels.last_timestep, 0, steps + 1))


def sigmas_for(
    levels: NoiseLevels,
    sampler_name: str,
    scheduler_label: str,
    steps: int,
    *,
    bend: SigmaOverrides = STRAIGHT,
    unipc: UniPC | None = None,
    discard_penultimate: bool = False,
) -> list[float]:
    """What a sampler walks. Those that ignore the schedule have their own."""
    sampler = sampler_catalog.sampler(sampler_name)
    if sampler_name == "UniPC":
        return unipc_steps(levels, steps, (unipc or UniPC()).skip_type)
    if sampler.variance_preserving:
        return ddim_steps(levels, steps)
    if sampler.ignores_schedule:
        return uniform(levels, steps)
    schedule = SCHEDULES[sampler_catalog.effective_scheduler(sampler_name, scheduler_label)]
    if not (discard_penultimate or sampler.discard_penultimate):
        return _falling(schedule(levels, steps, bend))
    sigmas = _falling(schedule(levels, steps + 1, bend))
    return [*sigmas[:-2], sigmas[-1]]


def _falling(sigmas: list[float]) -> list[float]:
    """Without those that a strong bend has laid on one another: a step of no length divides by it."""
    kept = sigmas[:1]
    for sigma in sigmas[1:]:
        if sigma < kept[-1] * (1 - 1e-6):
            kept.append(sigma)
    return kept


def lengthened(steps: int, strength: float) -> int:
    """How many steps the whole schedule has of which img2img at this strength runs exactly ``steps``."""
    return int(min(steps / min(strength, 0.999), MOST_STEPS))


def img2img_part(sampler_name: str, sigmas: list[float], steps: int, strength: float) -> list[float]:
    """The end of a schedule that img2img walks, counted as A1111 counts it."""
    effective = int(min(strength, 0.999) * steps)
    if sampler_name == "UniPC":
        return sigmas[-effective - 1 :]
    if sampler_catalog.sampler(sampler_name).variance_preserving:
        return sigmas[-max(effective, 1) :]
    return sigmas[max(steps - effective - 1, 0) :]
