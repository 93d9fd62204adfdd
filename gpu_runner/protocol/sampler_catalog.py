"""The samplers and schedulers that exist, under A1111's names, and how a client's words choose among them. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

AUTOMATIC = "Automatic"
FALLBACK_SAMPLER = "DPM++ 2M"  # what A1111 draws with when it does not know the name


@dataclass(frozen=True)
class Sampler:
    name: str
    aliases: tuple[str, ...]
    automatic: str = "Uniform"  # the label of the scheduler that "Automatic" stands for
    second_order: bool = False  # asks the model twice a step
    default_eta: float | None = None  # None: eta has no effect
    discard_penultimate: bool = False  # draws with one sigma more and drops the last that is not zero
    ignores_schedule: bool = False
    variance_preserving: bool = False  # walks its own timesteps, and begins and ends as the model was trained
    brownian: bool = False  # its fresh noise is a Brownian path's
    ancestral: bool = False  # its fresh noise is the stream that ENSD seeds anew
    guided_apart: bool = False  # needs the unguided estimate beside the guided one
    takes_churn: bool = False
    takes_s_noise: bool = False
    approximate: bool = False  # how often it asks the model is only known at its end

    def nominal_calls(self, steps: int) -> int:
        """What prompts count their steps in; img2img, or restarts, may ask the model less or more often."""
        return steps * 2 if self.second_order else steps


@dataclass(frozen=True)
class Scheduler:
    name: str
    label: str
    aliases: tuple[str, ...] = ()
    default_rho: float = -1.0
    need_inner_model: bool = False  # built from the model's training sigmas, not from their two ends alone
    has_ends: bool = True  # which can be moved

    @property
    def words(self) -> tuple[str, ...]:
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
    Scheduler("uniform", "Uniform", need_inner_model=True, has_ends=False),
    Scheduler("karras", "Karras", default_rho=7.0),
    Scheduler("exponential", "Exponential"),
    Scheduler("polyexponential", "Polyexponential", default_rho=1.0),
    Scheduler("sgm_uniform", "SGM Uniform", ("SGMUniform",), need_inner_model=True),
    Scheduler("kl_optimal", "KL Optimal"),
    Scheduler("align_your_steps", "Align Your Steps", has_ends=False),
    Scheduler("simple", "Simple", need_inner_model=True, has_ends=False),
    Scheduler("normal", "Normal", need_inner_model=True),
    Scheduler("ddim", "DDIM", need_inner_model=True, has_ends=False),
    Scheduler("beta", "Beta", need_inner_model=True),
)

_SAMPLERS = {sampler.name: sampler for sampler in SAMPLERS}
_LABELS = {scheduler.label: scheduler for scheduler in SCHEDULERS}
_SCHEDULERS = {word: scheduler for scheduler in SCHEDULERS for word in scheduler.words}


def sampler(name: str) -> Sampler:
    """By its exact name; KeyError for any other."""
    return _SAMPLERS[name]


def scheduler(label: str) -> Scheduler:
    """By its label; KeyError for any other word."""
    return _LABELS[label]


def is_sampler(name: str) -> bool:
    return name in _SAMPLERS


def is_scheduler(label: str) -> bool:
    return label in _LABELS


def understands_sampler(name: str) -> bool:
    """Whether ``resolve`` finds the sampler that is named, with or without a scheduler as its suffix."""
    return _split(name, SCHEDULERS)[0] in _SAMPLERS


def understands_scheduler(word: str) -> bool:
    return word in _SCHEDULERS


def effective_scheduler(sampler_name: str, label: str) -> str:
    """The label of the schedule that is really walked."""
    return _SAMPLERS[sampler_name].automatic if label == AUTOMATIC else label


def resolve(name: str, scheduler: str = "") -> tuple[str, str]:
    """A1111's reading of (sampler_name, scheduler): both always exist in the answer.

    "DPM++ 2M Karras" is a sampler with a scheduler as its suffix; an explicit scheduler wins over the suffix.
    """
    bare, suffix = _split(name, SCHEDULERS)
    chosen = _SAMPLERS.get(bare, _SAMPLERS[FALLBACK_SAMPLER])
    if scheduler:
        found = _SCHEDULERS.get(scheduler)
        return chosen.name, found.label if found else AUTOMATIC
    own_choice = suffix == chosen.automatic and suffix != "Uniform"
    return chosen.name, AUTOMATIC if own_choice else suffix


def _split(name: str, schedulers: Iterable[Scheduler]) -> tuple[str, str]:
    """Strips suffixes in the order of the table, as A1111 does: the last one found counts."""
    found = AUTOMATIC
    for candidate in schedulers:
        word = next((word for word in candidate.words if name.endswith(f" {word}")), None)
        if word is not None:
            name, found = name[: -len(word) - 1], candidate.label
    return name, found
