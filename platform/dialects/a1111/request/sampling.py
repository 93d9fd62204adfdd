"""Sampler, schedule, seed and noise parameters of A1111, and the options that apply to them."""

from __future__ import annotations

from typing import Any

from dialects.a1111.options.options import EffectiveOptions
from dialects.a1111.options.table import OPTIONS
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from jobs.admission.submission import random_seed

# In the original, "GPU" depends on the graphics card. Here it is the CPU generator, which is reproducible.
NOISE_SOURCES = {"GPU": "cpu", "CPU": "cpu", "NV": "nv"}
LATENT_SCALE = 8


def sampling(sampler: str, parameters: dict[str, Any], settings: EffectiveOptions) -> dict[str, Any]:
    return {
        "eta": eta(sampler, parameters["eta"], settings),
        "s_churn": _option_first("s_churn", parameters, settings),
        "s_tmin": _option_first("s_tmin", parameters, settings),
        "s_tmax": _option_first("s_tmax", parameters, settings) or None,
        "s_noise": _option_first("s_noise", parameters, settings),
        "s_min_uncond": _request_first("s_min_uncond", parameters, settings),
        "discard_penultimate": settings["always_discard_next_to_last_sigma"],
        "sgm_noise_multiplier": settings["sgm_noise_multiplier"],
        "schedule_bend": {
            "sigma_min": settings["sigma_min"],
            "sigma_max": settings["sigma_max"],
            "rho": settings["rho"],
            "beta_alpha": settings["beta_dist_alpha"],
            "beta_beta": settings["beta_dist_beta"],
        },
        "unipc": {
            "variant": settings["uni_pc_variant"],
            "skip_type": settings["uni_pc_skip_type"],
            "order": settings["uni_pc_order"],
            "lower_order_final": settings["uni_pc_lower_order_final"],
        },
    }


def noise(parameters: dict[str, Any], settings: EffectiveOptions) -> dict[str, Any]:
    return {
        "seed": seed(parameters["seed"]),
        "subseed": seed(parameters["subseed"]),
        "subseed_strength": parameters["subseed_strength"] or 0.0,
        **_seed_resize(parameters["seed_resize_from_w"], parameters["seed_resize_from_h"]),
        "noise_source": NOISE_SOURCES[settings["randn_source"]],
        "eta_noise_seed_delta": settings["eta_noise_seed_delta"],
    }


def seed(requested: int | None) -> int:
    return random_seed() if requested is None or requested == -1 else requested


def _seed_resize(width: int | None, height: int | None) -> dict[str, int]:
    """Seed resize fields; empty (off) unless both sides are at least one latent pixel."""
    sides = (width or 0, height or 0)
    if min(sides) < LATENT_SCALE:
        return {}
    return {"seed_resize_from_width": sides[0], "seed_resize_from_height": sides[1]}


def eta(sampler: str, requested: float | None, settings: EffectiveOptions) -> float | None:
    if sampler_catalog.sampler(sampler).default_eta is None:  # the sampler does not use eta
        return None
    if requested is not None:
        return requested
    return settings["eta_ddim" if sampler.startswith("DDIM") else "eta_ancestral"]


def _request_first(name: str, parameters: dict[str, Any], settings: EffectiveOptions) -> float:
    return settings[name] if parameters[name] is None else parameters[name]


def _option_first(name: str, parameters: dict[str, Any], settings: EffectiveOptions) -> float:
    """Value of a setting for which an option that differs from its default overrides the request."""
    changed = settings[name] != OPTIONS[name].default
    return settings[name] if changed else _request_first(name, parameters, settings)
