"""Sigma schedules as k-diffusion and A1111 build them, in float64. No torch.

Every schedule function takes the noise levels of a model and the number of steps, and returns sigmas in descending
order: ``steps`` + 1 values, of which the last is 0, unless its docstring says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.request_parts.sampling import SigmaOverrides, UniPC

from .beta_distribution import beta_quantiles

NO_OVERRIDES = SigmaOverrides()
MAX_SCHEDULE_STEPS = 20_000  # of the full schedule of an img2img pass


class NoiseLevels:
    """Noise levels that a model was trained on: sigma = sqrt((1 - alpha) / alpha) per timestep.

    Between timesteps, log(sigma) is interpolated linearly, as in k-diffusion's ``DiscreteSchedule``.
    """

    is_flow = False

    def __init__(self, alphas_cumprod: ArrayLike, *, is_sdxl: bool = False) -> None:
        self.alphas_cumprod = alphas = np.asarray(alphas_cumprod, np.float64)
        self.is_sdxl = is_sdxl
        self.sigmas = np.sqrt((1 - alphas) / alphas)
        self._logs = np.log(self.sigmas)
        self._timesteps = np.arange(len(self.sigmas), dtype=np.float64)

    def of_sampler(self, name: str) -> NoiseLevels:
        """Return the levels a sampler uses: a subset of 50 for LCM, all for the others."""
        return LcmLevels(self.alphas_cumprod, is_sdxl=self.is_sdxl) if name == "LCM" else self

    @property
    def low(self) -> float:
        """sigma_min of the model."""
        return float(self.sigmas[0])

    @property
    def high(self) -> float:
        """sigma_max of the model."""
        return float(self.sigmas[-1])

    @property
    def last_timestep(self) -> int:
        return len(self.sigmas) - 1

    def sigmas_at(self, timesteps: Sequence[float] | np.ndarray) -> list[float]:
        """Return the sigmas at ``timesteps``, which may be fractional."""
        return np.exp(np.interp(timesteps, self._timesteps, self._logs)).tolist()

    def timestep_at(self, sigma: float) -> float:
        """Return the timestep that the model is called with at ``sigma``."""
        return float(np.interp(math.log(sigma), self._logs, self._timesteps))

    def timestep_between(self, sigma: float) -> float:
        """Return the fractional timestep of ``sigma``, the inverse of ``sigmas_at``."""
        return NoiseLevels.timestep_at(self, sigma)

    def schedule(self, label: str, steps: int, overrides: SigmaOverrides) -> list[float]:
        """Return the schedule with this label. Raises KeyError for unknown ones, and for "Automatic"."""
        return SCHEDULES[label](self, steps, overrides)


class LcmLevels(NoiseLevels):
    """The 50 timesteps that latent consistency models are distilled on. The model is called with these only."""

    COUNT = 50

    def __init__(self, alphas_cumprod: np.ndarray, *, is_sdxl: bool = False) -> None:
        self._stride = len(alphas_cumprod) // self.COUNT
        super().__init__(alphas_cumprod[self._stride - 1 :: self._stride], is_sdxl=is_sdxl)

    def timestep_at(self, sigma: float) -> float:
        nearest = int(np.abs(self._logs - math.log(sigma)).argmin())
        return float((nearest + 1) * self._stride - 1)


def _sigma_range(levels: NoiseLevels, overrides: SigmaOverrides) -> tuple[float, float]:
    return overrides.sigma_max or levels.high, overrides.sigma_min or levels.low


def uniform(levels: NoiseLevels, steps: int, overrides: SigmaOverrides = NO_OVERRIDES) -> list[float]:
    """Linear in the timestep, from the highest to the lowest level: k-diffusion's ``get_sigmas`` of the model."""
    return [*levels.sigmas_at(np.linspace(levels.last_timestep, 0, steps)), 0.0]


def normal(levels: NoiseLevels, steps: int, overrides: SigmaOverrides = NO_OVERRIDES) -> list[float]:
    """Like ``uniform``, but with an adjustable sigma range (``normal_scheduler`` of ComfyUI and A1111)."""
    high, low = map(levels.timestep_between, _sigma_range(levels, overrides))
    return [*levels.sigmas_at(np.linspace(high, low, steps)), 0.0]


def karras(levels: NoiseLevels, steps: int, overrides: SigmaOverrides = NO_OVERRIDES) -> list[float]:
    """k-diffusion's ``get_sigmas_karras``: Karras et al. (2022), equation 5, with rho 7 by default."""
    high, low = _sigma_range(levels, overrides)
    rho = overrides.rho or 7.0
    ramp = np.linspace(high ** (1 / rho), low ** (1 / rho), steps)
    return [*(ramp**rho).tolist(), 0.0]


def exponential(levels: NoiseLevels, steps: int, overrides: SigmaOverrides = NO_OVERRIDES) -> list[float]:
    """k-diffusion's ``get_sigmas_exponential``: linear in log(sigma)."""
    high, low = _sigma_range(levels, overrides)
    return [*np.geomspace(high, low, steps).tolist(), 0.0]


def polyexponential(levels: NoiseLevels, steps: int, overrides: SigmaOverrides = NO_OVERRIDES) -> list[float]:
    """k-diffusion's ``get_sigmas_polyexponential``: polynomial of degree rho in log(sigma); rho is 1 by default."""
    high, low = _sigma_range(levels, overrides)
    ramp = np.linspace(1, 0, steps) ** (overrides.rho or 1.0)
    return [*(low * (high / low) ** ramp).tolist(), 0.0]


def sgm_uniform(levels: NoiseLevels, steps: int, overrides: SigmaOverrides = NO_OVERRIDES) -> list[float]:
    """Linear in the timestep without its last value, as in Stability's generative-models (A1111's ``sgm_uniform``)."""
    high, low = map(levels.timestep_between, _sigma_range(levels, overrides))
    return [*levels.sigmas_at(np.linspace(high, low, steps + 1)[:-1]), 0.0]


def kl_optimal(levels: NoiseLevels, steps: int, overrides: SigmaOverrides = NO_OVERRIDES) -> list[float]:
    """Linear in atan(sigma): KL-optimal for Gaussian data by Sabour et al. (2024), "Align Your Steps". Ends at sigma_min.

    A1111's ``kl_optimal``.
    """
    high, low = _sigma_range(levels, overrides)
    return np.tan(np.linspace(math.atan(high), math.atan(low), steps + 1)).tolist()


ALIGN_YOUR_STEPS_SD1 = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)
ALIGN_YOUR_STEPS_SDXL = (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029)


def align_your_steps(
    levels: NoiseLevels, steps: int, overrides: SigmaOverrides = NO_OVERRIDES
) -> list[float]:
    """Log-linear interpolation of the tables of Sabour et al. (2024), "Align Your Steps", for SD 1.5 and SDXL.

    A1111's ``get_align_your_steps_sigmas``.
    """
    table = ALIGN_YOUR_STEPS_SDXL if levels.is_sdxl else ALIGN_YOUR_STEPS_SD1
    logs = np.interp(np.linspace(0, 1, steps), np.linspace(0, 1, len(table)), np.log(table))
    return [*np.exp(logs).tolist(), 0.0]


def simple(levels: NoiseLevels, steps: int, overrides: SigmaOverrides = NO_OVERRIDES) -> list[float]:
    """Every n-th training level (ComfyUI's ``simple_scheduler``).

    With more steps than training levels, ``uniform`` is used.
    """
    stride = len(levels.sigmas) / steps
    if stride < 1:
        return uniform(levels, steps)
    return [*(float(levels.sigmas[-1 - int(step * stride)]) for step in range(steps)), 0.0]


def ddim(levels: NoiseLevels, steps: int, overrides: SigmaOverrides = NO_OVERRIDES) -> list[float]:
    """Every n-th training level from the second on (ComfyUI's ``ddim_scheduler``). May have more than ``steps`` steps."""
    stride = max(len(levels.sigmas) // steps, 1)
    return [*levels.sigmas[1::stride][::-1].tolist(), 0.0]


def beta(levels: NoiseLevels, steps: int, overrides: SigmaOverrides = NO_OVERRIDES) -> list[float]:
    """Quantiles of Beta(alpha, beta), scaled to the sigma range: A1111's ``beta_scheduler``.

    After Lee et al. (2024), "Beta Sampling is All You Need", which distributes timesteps, not sigmas.
    """
    high, low = _sigma_range(levels, overrides)
    quantiles = beta_quantiles(1 - np.linspace(0, 1, steps), overrides.beta_alpha, overrides.beta_beta)
    return [*(low + quantiles * (high - low)).tolist(), 0.0]


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


def own_timesteps(levels: NoiseLevels, steps: int) -> list[int]:
    """Return the timesteps of the samplers that A1111 runs on the model's own, ascending.

    Every (1000 // steps)-th timestep plus 1: more than ``steps`` if these do not divide 1000.
    """
    last = levels.last_timestep
    return [min(timestep + 1, last) for timestep in range(0, last + 1, max((last + 1) // steps, 1))]


def ddim_steps(levels: NoiseLevels, steps: int) -> list[float]:
    """Return A1111's DDIM schedule: its own timesteps in descending order, without a final 0.

    With ``steps`` = 1 this would be a single sigma and no step; the whole range is used instead.
    """
    timesteps = own_timesteps(levels, steps)
    if len(timesteps) == 1:
        timesteps.append(levels.last_timestep)
    return _sigmas_down(levels, timesteps)


def _sigmas_down(levels: NoiseLevels, timesteps: list[int]) -> list[float]:
    return levels.sigmas_at(sorted(set(timesteps), reverse=True))


def unipc_steps(
    levels: NoiseLevels, steps: int, skip_type: str = "time_uniform", start: int | None = None
) -> list[float]:
    """Return UniPC's schedule, from the timestep ``start`` (the highest by default) to 0, ``steps`` + 1 values.

    ``skip_type`` is the quantity with equal steps: "time_uniform" the timestep, "time_quadratic" its square root,
    "logSNR" log(sigma). Zhao et al. (2023), ``get_time_steps`` of the reference implementation.
    """
    start = levels.last_timestep if start is None else start
    if skip_type == "logSNR":
        return np.geomspace(float(levels.sigmas[start]), levels.low, steps + 1).tolist()
    if skip_type == "time_quadratic":
        return levels.sigmas_at(np.linspace((start + 1) ** 0.5, 1, steps + 1) ** 2 - 1)
    return levels.sigmas_at(np.linspace(start, 0, steps + 1))


def sigmas_for(
    levels: NoiseLevels,
    sampler_name: str,
    scheduler_label: str,
    steps: int,
    *,
    overrides: SigmaOverrides = NO_OVERRIDES,
    unipc: UniPC | None = None,
    discard_penultimate: bool = False,
    is_img2img: bool = False,
) -> list[float]:
    """Return the sigmas for a sampler, strictly decreasing. Samplers that ignore the scheduler use their own schedule.

    DPM fast and DPM adaptive ignore it in txt2img only, and use the ends only. As the schedule of one step has a single end,
    the lowest level of the model is added.

    Raises KeyError for unknown sampler names and scheduler labels.
    """
    sampler = sampler_catalog.sampler(sampler_name)
    if levels.is_flow:
        dropped = discard_penultimate or sampler.discard_penultimate
        count = len(own_timesteps(levels, steps)) if sampler.variance_preserving else steps
        sigmas = _strictly_decreasing(levels.schedule(scheduler_label, count + dropped, overrides))
        return [*sigmas[:-2], sigmas[-1]] if dropped else sigmas
    if sampler_name == "UniPC":
        count = len(own_timesteps(levels, steps + discard_penultimate))
        return unipc_steps(levels, count, (unipc or UniPC()).skip_type)
    if sampler.variance_preserving:
        return ddim_steps(levels, steps + discard_penultimate)
    if sampler.ignores_schedule and not is_img2img:
        return uniform(levels, steps) if steps > 1 else [levels.high, levels.low]
    label = sampler_catalog.effective_scheduler(sampler_name, scheduler_label)
    if discard_penultimate or sampler.discard_penultimate:
        sigmas = _strictly_decreasing(levels.schedule(label, steps + 1, overrides))
        sigmas = [*sigmas[:-2], sigmas[-1]]
    else:
        sigmas = _strictly_decreasing(levels.schedule(label, steps, overrides))
    if sampler.ignores_schedule and len(sigmas) == 2 and sigmas[0] > levels.low:
        return [sigmas[0], levels.low]
    return sigmas


def _strictly_decreasing(sigmas: list[float]) -> list[float]:
    """Drop sigmas that overrides made equal: samplers divide by the length of a step."""
    kept = sigmas[:1]
    for sigma in sigmas[1:]:
        if sigma < kept[-1] * (1 - 1e-6):
            kept.append(sigma)
    return kept


def total_steps(steps: int, strength: float) -> int:
    """Return the length of the full schedule of which img2img at this strength runs exactly ``steps`` steps."""
    return int(min(steps / min(strength, 0.999), MAX_SCHEDULE_STEPS))


def encoded_steps(steps: int, strength: float) -> int:
    """Return A1111's number of steps of img2img at this strength (its ``t_enc``), one less than k-diffusion samplers run."""
    return int(min(strength, 0.999) * steps)


class Img2ImgSigmas(NamedTuple):
    """Sigmas of an img2img pass, and the sigma that the init latent is noised to before it."""

    sigmas: list[float]
    noised_to: float


def img2img_on_own_timesteps(
    levels: NoiseLevels, timesteps: list[int], encoded: int, unipc: UniPC | None
) -> Img2ImgSigmas:
    """Return the sigmas of img2img with DDIM, CFG++ and PLMS, or with UniPC if its options are given.

    ``timesteps`` are ascending, ``encoded`` is A1111's ``t_enc``. As in A1111, the init latent is noised to timestep number
    ``encoded``, and sampling starts from the one below. Where that leaves no step, it starts from the former instead: A1111
    would return the noise.
    """
    encoded = min(encoded, len(timesteps) - 1)
    walked = timesteps[: encoded if encoded > 1 else encoded + 1]
    noised_to = float(levels.sigmas[timesteps[encoded]])
    if unipc is None or encoded == 0:
        return Img2ImgSigmas(_sigmas_down(levels, walked), noised_to)
    return Img2ImgSigmas(unipc_steps(levels, encoded, unipc.skip_type, walked[-1]), noised_to)
