"""The vendor's schedulers, which are diffusers' classes, and what they are here."""

from __future__ import annotations

from typing import Any

from dialects.stablediffusionapi.errors import WireError
from gpu_runner.protocol import sampler_catalog

SUFFIX = "Scheduler"
DEFAULT = "UniPCMultistepScheduler"
KARRAS, PLAIN = "Karras", "Uniform"

# Where there is no counterpart, the nearest of the same kind; docs/dialects/stablediffusionapi.md says which.
SAMPLERS: dict[str, str] = {
    "DDPM": "DDIM",
    "DDIM": "DDIM",
    "PNDM": "PLMS",
    "LMSDiscrete": "LMS",
    "EulerDiscrete": "Euler",
    "EulerAncestralDiscrete": "Euler a",
    "DPMSolverMultistep": "DPM++ 2M",
    "HeunDiscrete": "Heun",
    "KDPM2Discrete": "DPM2",
    "DPMSolverSinglestep": "DPM++ SDE",
    "KDPM2AncestralDiscrete": "DPM2 a",
    "UniPCMultistep": "UniPC",
    "DEISMultistep": "DPM++ 2M",
    "IPNDM": "PLMS",
    "KarrasVe": "Heun",
    "LCM": "LCM",
}
# More than the sampler's name.
SETTINGS: dict[str, dict[str, Any]] = {
    "DDPM": {"eta": 1.0},
    "KarrasVe": {"scheduler": KARRAS, "s_churn": 40.0, "s_tmin": 0.05, "s_tmax": 50.0, "s_noise": 1.007},
}
TAKE_SIGMAS = frozenset(
    {
        "LMSDiscrete",
        "EulerDiscrete",
        "DPMSolverMultistep",
        "HeunDiscrete",
        "KDPM2Discrete",
        "DPMSolverSinglestep",
        "KDPM2AncestralDiscrete",
        "DEISMultistep",
    }
)
WITH_NOISE = frozenset({"dpmsolver+++", "sde-dpmsolver++"})
ALGORITHMS = frozenset({"none", "null", "dpmsolver", "dpmsolver++"}) | WITH_NOISE


def listed() -> list[str]:
    return [f"{name}{SUFFIX}" for name in SAMPLERS]


def sampling(name: str, *, karras: bool | None, algorithm: str) -> dict[str, Any]:
    """The fields of the canonical request. ``karras`` None: as the sampler is best. Raises WireError."""
    if algorithm.lower() not in ALGORITHMS:
        raise _invalid("algorithm_type")
    bare = name.removesuffix(SUFFIX)
    if bare not in SAMPLERS:
        return _as_a1111(name)
    chosen: dict[str, Any] = {"sampler": SAMPLERS[bare], "scheduler": sampler_catalog.AUTOMATIC}
    if bare == "DPMSolverMultistep" and algorithm.lower() in WITH_NOISE:
        chosen["sampler"] = "DPM++ 2M SDE"
    if bare in TAKE_SIGMAS and karras is not None:
        chosen["scheduler"] = KARRAS if karras else PLAIN
    return chosen | SETTINGS.get(bare, {})


def _as_a1111(name: str) -> dict[str, Any]:
    """Clients that come from there write "DPM++ 2M Karras"."""
    sampler, scheduler = sampler_catalog.resolve(name)
    words = [word for each in sampler_catalog.SCHEDULERS for word in each.words]
    if name != sampler and not any(name == f"{sampler} {word}" for word in words):
        raise _invalid("scheduler")
    return {"sampler": sampler, "scheduler": scheduler}


def _invalid(field: str) -> WireError:
    return WireError.invalid({field: [f"The selected {field.replace('_', ' ')} is invalid."]})
