"""Infotext fields of noise, sampler and schedule: only values in effect that differ from the defaults."""

from __future__ import annotations

from typing import Any

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.catalogs import samplers as sampler_catalog

Pairs = dict[str, object]
PENULTIMATE = "Discard penultimate sigma"


def schedule_type(sampler: str, scheduler: str) -> str:
    """Label of the schedule in use; "Automatic" if it is the sampler's default and "Uniform"."""
    label = sampler_catalog.effective_scheduler(sampler, scheduler)
    plain = scheduler == sampler_catalog.AUTOMATIC and label == "Uniform"
    return sampler_catalog.AUTOMATIC if plain else label


def variation(request: GenerationRequest, index: int) -> Pairs:
    """Variation seed fields. A1111 writes them after the model fields."""
    width, height = request.seed_resize_from_width, request.seed_resize_from_height
    varies = request.subseed_strength > 0
    return {
        "Variation seed": request.subseed_of(index) if varies else None,
        "Variation seed strength": request.subseed_strength if varies else None,
        "Seed resize from": f"{width}x{height}" if width and height else None,
    }


def noise_source(request: GenerationRequest) -> Pairs:
    """Eta noise seed delta and RNG. A1111 omits RNG for its default, GPU noise, which is not used here."""
    delta = request.eta_noise_seed_delta
    return {
        "ENSD": delta
        if delta and sampler_catalog.sampler(request.sampler).ancestral and request.eta != 0
        else None,
        "RNG": request.noise_source.upper(),
    }


def sampler_pairs(request: GenerationRequest) -> Pairs:
    sampler = sampler_catalog.sampler(request.sampler)
    default = sampler.default_eta
    pairs: Pairs = {
        "Eta DDIM" if request.sampler.startswith("DDIM") else "Eta": _unless(default, request.eta)
        if default is not None
        else None,
        "Sigma churn": _unless(0, request.s_churn) if sampler.takes_churn else None,
        "Sigma tmin": _unless(0, request.s_tmin) if sampler.takes_churn else None,
        "Sigma tmax": request.s_tmax if sampler.takes_churn else None,
        "Sigma noise": _unless(1, request.s_noise) if sampler.takes_s_noise else None,
        "NGMS": _unless(0, request.s_min_uncond),
        "SGM noise multiplier": request.sgm_noise_multiplier or None,
    }
    return pairs | _schedule(request) | (_unipc(request) if request.sampler == "UniPC" else {})


def _schedule(request: GenerationRequest) -> Pairs:
    sampler, bend = sampler_catalog.sampler(request.sampler), request.schedule_bend
    if sampler.variance_preserving:
        return {PENULTIMATE: request.discard_penultimate or None}
    if sampler.ignores_schedule and request.task == "txt2img" and request.hires is None:
        return {}
    scheduler = sampler_catalog.scheduler(
        sampler_catalog.effective_scheduler(request.sampler, request.scheduler)
    )
    is_beta = scheduler.label == "Beta"
    return {
        PENULTIMATE: True if request.discard_penultimate and not sampler.discard_penultimate else None,
        "Schedule min sigma": bend.sigma_min or None if scheduler.has_range else None,
        "Schedule max sigma": bend.sigma_max or None if scheduler.has_range else None,
        "Schedule rho": _unless(scheduler.default_rho, bend.rho or scheduler.default_rho),
        "Beta schedule alpha": bend.beta_alpha if is_beta else None,
        "Beta schedule beta": bend.beta_beta if is_beta else None,
    }


def _unipc(request: GenerationRequest) -> Pairs:
    unipc, plain = request.unipc, type(request.unipc)()
    return {
        "UniPC variant": _unless(plain.variant, unipc.variant),
        "UniPC skip type": _unless(plain.skip_type, unipc.skip_type),
        "UniPC order": _unless(plain.order, unipc.order),
        "UniPC lower order final": None if unipc.lower_order_final else False,
    }


def _unless(default: Any, value: Any) -> Any:
    return None if value == default else value
