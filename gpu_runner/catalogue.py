"""The samplers and schedulers that exist, under A1111's names, and how a client's words choose among them. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    ignores_schedule: bool = False  # walks its own timesteps


@dataclass(frozen=True)
class Scheduler:
    name: str
    label: str
    aliases: tuple[str, ...] = ()
    default_rho: float = -1.0
    need_inner_model: bool = False  # built from the model's training sigmas, not from their two ends alone

    @property
    def words(self) -> tuple[str, ...]:
        return (self.label, self.name, *self.aliases)


SAMPLERS = (
    Sampler("DPM++ 2M", ("k_dpmpp_2m",), "Karras"),
    Sampler("DPM++ 2S a", ("k_dpmpp_2s_a",), "Karras", second_order=True, default_eta=1.0),
    Sampler("Euler a", ("k_euler_a", "k_euler_ancestral"), default_eta=1.0),
    Sampler("Euler", ("k_euler",)),
    Sampler("LMS", ("k_lms",)),
    Sampler("Heun", ("k_heun",), second_order=True),
    Sampler("DPM2", ("k_dpm_2",), "Karras", second_order=True, discard_penultimate=True),
    Sampler("DPM2 a", ("k_dpm_2_a",), "Karras", second_order=True, default_eta=1.0, discard_penultimate=True),
    Sampler("DDIM", ("ddim",), default_eta=0.0, ignores_schedule=True),
    Sampler("UniPC", ("unipc",), ignores_schedule=True),
)

# What A1111 draws with and this runner does not: to draw with the fallback instead would be a silent lie.
NOT_YET = frozenset(
    {
        "DPM++ SDE",
        "DPM++ 2M SDE",
        "DPM++ 2M SDE Heun",
        "DPM++ 3M SDE",
        "DPM fast",
        "DPM adaptive",
        "Restart",
        "DDIM CFG++",
        "PLMS",
        "LCM",
    }
)

SCHEDULERS = (
    Scheduler("automatic", AUTOMATIC),
    Scheduler("uniform", "Uniform", need_inner_model=True),
    Scheduler("karras", "Karras", default_rho=7.0),
    Scheduler("exponential", "Exponential"),
    Scheduler("polyexponential", "Polyexponential", default_rho=1.0),
    Scheduler("sgm_uniform", "SGM Uniform", ("SGMUniform",), need_inner_model=True),
    Scheduler("kl_optimal", "KL Optimal"),
    Scheduler("align_your_steps", "Align Your Steps"),
    Scheduler("simple", "Simple", need_inner_model=True),
    Scheduler("normal", "Normal", need_inner_model=True),
    Scheduler("ddim", "DDIM", need_inner_model=True),
    Scheduler("beta", "Beta", need_inner_model=True),
)

_SAMPLERS = {sampler.name: sampler for sampler in SAMPLERS}
_LABELS = {scheduler.label for scheduler in SCHEDULERS}
_SCHEDULERS = {word: scheduler for scheduler in SCHEDULERS for word in scheduler.words}


def sampler(name: str) -> Sampler:
    """By its exact name; KeyError for any other."""
    return _SAMPLERS[name]


def is_scheduler(label: str) -> bool:
    return label in _LABELS


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


def is_not_yet(name: str) -> bool:
    """Whether A1111 would draw with a sampler that is missing here, with or without a scheduler as its suffix."""
    return _split(name, SCHEDULERS)[0] in NOT_YET


def _split(name: str, schedulers: Iterable[Scheduler]) -> tuple[str, str]:
    """Strips suffixes in the order of the table, as A1111 does: the last one found counts."""
    found = AUTOMATIC
    for candidate in schedulers:
        word = next((word for word in candidate.words if name.endswith(f" {word}")), None)
        if word is not None:
            name, found = name[: -len(word) - 1], candidate.label
    return name, found
