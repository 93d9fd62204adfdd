"""List samplers and schedulers in A1111's format."""

from __future__ import annotations

from typing import Any

from gpu_runner.protocol.catalogs import samplers as sampler_catalog


def samplers() -> list[dict[str, Any]]:
    return [
        {"name": sampler.name, "aliases": list(sampler.aliases), "options": _options(sampler)}
        for sampler in sampler_catalog.SAMPLERS
    ]


def _options(sampler: sampler_catalog.Sampler) -> dict[str, str]:
    """Sampler options, all as strings. The default scheduler is included only if it is not uniform."""
    options = {"scheduler": _name_of(sampler.automatic)} if sampler.automatic != "Uniform" else {}
    flags = {
        "discard_next_to_last_sigma": sampler.discard_penultimate,
        "second_order": sampler.second_order,
        "brownian_noise": sampler.brownian,
        "uses_ensd": sampler.ancestral,
    }
    if sampler.name.endswith("Heun") and sampler.brownian:
        options["solver_type"] = "heun"
    return options | {name: "True" for name, is_set in flags.items() if is_set}


def _name_of(label: str) -> str:
    return next(scheduler.name for scheduler in sampler_catalog.SCHEDULERS if scheduler.label == label)


def schedulers() -> list[dict[str, Any]]:
    return [
        {
            "name": scheduler.name,
            "label": scheduler.label,
            "aliases": list(scheduler.aliases) or None,
            "default_rho": scheduler.default_rho,
            "need_inner_model": scheduler.need_inner_model,
        }
        for scheduler in sampler_catalog.SCHEDULERS
    ]
