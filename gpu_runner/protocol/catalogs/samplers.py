"""Catalog of samplers and schedulers under A1111's names, and the resolution of names that clients send. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

AUTOMATIC = "Automatic"
FALLBACK_SAMPLER = "DPM++ 2M"  # A1111's choice for unknown names


@dataclass(frozen=True)
class Sampler:
    """Properties of a sampler. Implementations are in gpu_runner.samplers."""

    name: str
    aliases: tuple[str, ...]
    automatic: str = "Uniform"  # label of the scheduler that "Automatic" means
    second_order: bool = False  # two model evaluations per step
    default_eta: float | None = None  # None: eta has no effect
    discard_penultimate: bool = False  # builds one more sigma and drops the last nonzero one
    # Uses its own timesteps or, of DPM fast and DPM adaptive, the model's whole range in txt2img.
    ignores_schedule: bool = False
    # Uses the model's timesteps, from its highest noise level to its lowest.
    variance_preserving: bool = False
    brownian: bool = False  # draws its noise from a Brownian path
    ancestral: bool = False  # draws its noise from the stream that ENSD reseeds
    guided_apart: bool = False  # needs the unguided estimate beside the guided one (CFG++)
    takes_churn: bool = False
    takes_s_noise: bool = False
    approximate: bool = False  # adaptive: the number of model evaluations is not known in advance

    def nominal_calls(self, steps: int) -> int:
        """Return the number of model evaluations that prompt schedules count, as in A1111.

        The actual number differs for img2img and for Restart.
        """
        return steps * 2 if self.second_order else steps


@dataclass(frozen=True)
class Scheduler:
    """Properties of a sigma schedule. Implementations are in protocol.schedules.sigmas."""

    name: str
    label: str
    aliases: tuple[str, ...] = ()
    default_rho: float = -1.0
    need_inner_model: bool = False  # built from all training sigmas, not only from sigma_min and sigma_max
    has_range: bool = True  # sigma_min and sigma_max can be overridden

    @property
    def names(self) -> tuple[str, ...]:
        """Names that clients may use."""
        return (self.label, self.name, *self.aliases)


SDE: Any = {"default_eta": 1.0, "brownian": True, "takes_s_noise": True}
ANCESTRAL: Any = {"default_eta": 1.0, "ancestral": True}
CHURNED: Any = {"takes_churn": True, "takes_s_noise": True}
OWN_TIMESTEPS: Any = {"ignores_schedule": True, "variance_preserving": True}

SAMPLERS = (
    Sampler("DPM++ 2M", ("k_dpmpp_2m",), "Karras"),
    Sampler("DPM++ SDE", ("k_dpmpp_sde",), "Karras", second_order=True, **SDE),
    Sampler("DPM++ 2M SDE", ("k_dpmpp_2m_sde",), "Exponential", **SDE),
    Sampler("DPM++ 2M SDE Heun", ("k_dpmpp_2m_sde_heun",), "Exponential", **SDE),
    Sampler("DPM++ 2S a", ("k_dpmpp_2s_a",), "Karras", second_order=True, takes_s_noise=True, **ANCESTRAL),
    Sampler("DPM++ 3M SDE", ("k_dpmpp_3m_sde",), "Exponential", discard_penultimate=True, **SDE),
    Sampler("Euler a", ("k_euler_a", "k_euler_ancestral"), **ANCESTRAL),
    Sampler("Euler", ("k_euler",), **CHURNED),
    Sampler("LMS", ("k_lms",)),
    Sampler("Heun", ("k_heun",), second_order=True, **CHURNED),
    Sampler("DPM2", ("k_dpm_2",), "Karras", second_order=True, discard_penultimate=True, **CHURNED),
    Sampler(
        "DPM2 a",
        ("k_dpm_2_a",),
        "Karras",
        second_order=True,
        discard_penultimate=True,
        takes_s_noise=True,
        **ANCESTRAL,
    ),
    Sampler("DPM fast", ("k_dpm_fast",), ignores_schedule=True, takes_s_noise=True, **ANCESTRAL),
    Sampler("DPM adaptive", ("k_dpm_ad",), ignores_schedule=True, approximate=True, **ANCESTRAL),
    Sampler("Restart", ("restart",), "Karras", second_order=True),
    Sampler("DDIM", ("ddim",), default_eta=0.0, **OWN_TIMESTEPS),
    Sampler("DDIM CFG++", ("ddim_cfgpp",), default_eta=0.0, guided_apart=True, **OWN_TIMESTEPS),
    Sampler("PLMS", ("plms",), **OWN_TIMESTEPS),
    Sampler("UniPC", ("unipc",), **OWN_TIMESTEPS),
    Sampler("LCM", ("k_lcm",)),
)

SCHEDULERS = (
    Scheduler("automatic", AUTOMATIC),
    Scheduler("uniform", "Uniform", need_inner_model=True, has_range=False),
    Scheduler("karras", "Karras", default_rho=7.0),
    Scheduler("exponential", "Exponential"),
    Scheduler("polyexponential", "Polyexponential", default_rho=1.0),
    Scheduler("sgm_uniform", "SGM Uniform", ("SGMUniform",), need_inner_model=True),
    Scheduler("kl_optimal", "KL Optimal"),
    Scheduler("align_your_steps", "Align Your Steps", has_range=False),
    Scheduler("simple", "Simple", need_inner_model=True, has_range=False),
    Scheduler("normal", "Normal", need_inner_model=True),
    Scheduler("ddim", "DDIM", need_inner_model=True, has_range=False),
    Scheduler("beta", "Beta", need_inner_model=True),
)

_SAMPLERS = {sampler.name: sampler for sampler in SAMPLERS}
_LABELS = {scheduler.label: scheduler for scheduler in SCHEDULERS}
_SCHEDULERS = {name: scheduler for scheduler in SCHEDULERS for name in scheduler.names}


def sampler(name: str) -> Sampler:
    """Return the sampler with this exact name. Raises KeyError for other names."""
    return _SAMPLERS[name]


def scheduler(label: str) -> Scheduler:
    """Return the scheduler with this label. Raises KeyError for other names."""
    return _LABELS[label]


def is_sampler(name: str) -> bool:
    return name in _SAMPLERS


def is_scheduler(label: str) -> bool:
    return label in _LABELS


def understands_sampler(name: str) -> bool:
    """Whether ``resolve`` knows the sampler, with or without a scheduler suffix."""
    return _split(name, SCHEDULERS)[0] in _SAMPLERS


def understands_scheduler(name: str) -> bool:
    """Whether ``resolve`` knows the scheduler, by label, name or alias."""
    return name in _SCHEDULERS


def effective_scheduler(sampler_name: str, label: str) -> str:
    """Return the label of the schedule in use: "Automatic" is replaced by the sampler's default."""
    return _SAMPLERS[sampler_name].automatic if label == AUTOMATIC else label


def resolve(name: str, scheduler: str = "") -> tuple[str, str]:
    """Resolve a client's sampler and scheduler names as A1111 does. Returns (sampler name, scheduler label).

    "DPM++ 2M Karras" is a sampler with a scheduler suffix; an explicit scheduler takes precedence over the suffix.
    Unknown samplers become FALLBACK_SAMPLER, unknown schedulers "Automatic".
    """
    bare, suffix = _split(name, SCHEDULERS)
    chosen = _SAMPLERS.get(bare, _SAMPLERS[FALLBACK_SAMPLER])
    if scheduler:
        found = _SCHEDULERS.get(scheduler)
        return chosen.name, found.label if found else AUTOMATIC
    own_choice = suffix == chosen.automatic and suffix != "Uniform"
    return chosen.name, AUTOMATIC if own_choice else suffix


def _split(name: str, schedulers: Iterable[Scheduler]) -> tuple[str, str]:
    """Strip scheduler suffixes in table order, as A1111 does. The last one found is returned."""
    found = AUTOMATIC
    for candidate in schedulers:
        suffix = next((suffix for suffix in candidate.names if name.endswith(f" {suffix}")), None)
        if suffix is not None:
            name, found = name[: -len(suffix) - 1], candidate.label
    return name, found
