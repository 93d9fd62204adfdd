"""The vendor's schedulers, which are diffusers' classes, as samplers and noise schedules of this platform."""

from __future__ import annotations

from typing import Any

from dialects.stablediffusionapi.errors import WireError
from gpu_runner.protocol.catalogs import samplers as sampler_catalog

SUFFIX = "Scheduler"
DEFAULT = "UniPCMultistepScheduler"
KARRAS, UNIFORM = "Karras", "Uniform"

# Schedulers without a counterpart have the nearest of the same kind; see docs/dialects/stablediffusionapi.md.
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
# Fields of the GenerationRequest beyond the sampler.
SETTINGS: dict[str, dict[str, Any]] = {
    "DDPM": {"eta": 1.0},
    "KarrasVe": {"scheduler": KARRAS, "s_churn": 40.0, "s_tmin": 0.05, "s_tmax": 50.0, "s_noise": 1.007},
}
KARRAS_CAPABLE = frozenset(
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
SDE_ALGORITHMS = frozenset({"dpmsolver+++", "sde-dpmsolver++"})
ALGORITHMS = frozenset({"none", "null", "dpmsolver", "dpmsolver++"}) | SDE_ALGORITHMS


def listed() -> list[str]:
    """Names of the supported schedulers."""
    return [f"{name}{SUFFIX}" for name in SAMPLERS]


def sampling(name: str, *, karras: bool | None, algorithm: str) -> dict[str, Any]:
    """Fields of the GenerationRequest. ``karras`` None: the sampler's default schedule. Raises WireError."""
    if algorithm.lower() not in ALGORITHMS:
        raise _invalid("algorithm_type")
    scheduler = name.removesuffix(SUFFIX)
    if scheduler not in SAMPLERS:
        return _a1111_sampler(name)
    fields: dict[str, Any] = {"sampler": SAMPLERS[scheduler], "scheduler": sampler_catalog.AUTOMATIC}
    if scheduler == "DPMSolverMultistep" and algorithm.lower() in SDE_ALGORITHMS:
        fields["sampler"] = "DPM++ 2M SDE"
    if scheduler in KARRAS_CAPABLE and karras is not None:
        fields["scheduler"] = KARRAS if karras else UNIFORM
    return fields | SETTINGS.get(scheduler, {})


def _a1111_sampler(name: str) -> dict[str, Any]:
    """A name of A1111, such as "DPM++ 2M Karras", which some clients send."""
    sampler, scheduler = sampler_catalog.resolve(name)
    suffixes = [suffix for known in sampler_catalog.SCHEDULERS for suffix in known.names]
    if name != sampler and not any(name == f"{sampler} {suffix}" for suffix in suffixes):
        raise _invalid("scheduler")
    return {"sampler": sampler, "scheduler": scheduler}


def _invalid(field: str) -> WireError:
    return WireError.invalid({field: [f"The selected {field.replace('_', ' ')} is invalid."]})
