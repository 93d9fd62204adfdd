"""Infotext fields of init images, masks, hires fix and upscaling, named as in A1111. Pure functions."""

from __future__ import annotations

from gpu_runner.protocol import GenerationRequest, Hires, Inpaint, Upscale
from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from gpu_runner.protocol.request_parts.passes import MagicMix

from . import sampling_fields

MASKED_CONTENT = {"fill": "fill", "noise": "latent noise", "nothing": "latent nothing"}


def strength(request: GenerationRequest) -> float | None:
    if request.hires is not None:
        return request.hires.strength
    return request.strength if request.init_images else None


def pairs(request: GenerationRequest) -> dict[str, object]:
    """Inpainting, noise and hires fields, in A1111's order; None values are not written."""
    return {
        **(_inpaint(request.inpaint) if request.inpaint else {}),
        **_noise(request),
        "Image CFG scale": request.image_guidance_scale,
        **(_magic_mix(request.magic_mix) if request.magic_mix else {}),
        **(_hires(request, request.hires) if request.hires else {}),
        "SD upscale overlap": request.tiled.overlap if request.tiled else None,
        "SD upscale upscaler": request.tiled.upscaler if request.tiled else None,
    }


def _magic_mix(part: MagicMix) -> dict[str, object]:
    return {"MagicMix kmin": part.kmin, "MagicMix factor": part.mix_factor}


def _inpaint(inpaint: Inpaint) -> dict[str, object]:
    part = inpaint.only_masked
    return {
        "Mask mode": "Inpaint not masked" if inpaint.invert else None,
        **_blur(inpaint.blur_x, inpaint.blur_y),
        "Inpaint area": "Only masked" if part else None,
        "Masked area padding": inpaint.padding if part else None,
        "Masked content": MASKED_CONTENT.get(inpaint.content),
    }


def _blur(across: float, down: float) -> dict[str, object]:
    """Mask blur in pixels.

    A1111 omits a blur of 0 and unequal blurs, so that its infotext does not reproduce the image; both are written.
    """
    if across == down:
        return {"Mask blur": _number(across)}
    return {"Mask blur x": _number(across), "Mask blur y": _number(down)}


def _noise(request: GenerationRequest) -> dict[str, object]:
    multiplier = request.initial_noise_multiplier
    return {"Noise multiplier": multiplier if multiplier != 1 else None}


def _hires(request: GenerationRequest, hires: Hires) -> dict[str, object]:
    by_size = hires.scale is None
    return {
        "Hires checkpoint": hires.checkpoint or None,
        "Hires sampler": _changed(hires.sampler, request.sampler),
        "Hires prompt": _changed(hires.prompt, request.prompt),
        "Hires negative prompt": _changed(hires.negative_prompt, request.negative_prompt),
        "Hires schedule type": _schedule(request, hires),
        "Hires resize": f"{hires.width}x{hires.height}" if by_size else None,
        "Hires upscale": hires.scale,
        "Hires steps": hires.num_inference_steps or None,
        "Hires upscaler": hires.upscaler,
    }


def _schedule(request: GenerationRequest, hires: Hires) -> str | None:
    """Schedule of the hires pass, if it differs from what the first pass's label means for its sampler."""
    sampler = hires.sampler or request.sampler
    named = sampling_fields.schedule_type(request.sampler, request.scheduler)
    effective = sampling_fields.schedule_type(sampler, hires.scheduler or request.scheduler)
    return _changed(effective, sampling_fields.schedule_type(sampler, named))


def upscaling(upscale: Upscale) -> dict[str, object]:
    if upscale.upscaler == upscaler_catalog.NONE:
        return {}
    second = upscale.upscaler_2 if upscale.upscaler_2_visibility else upscaler_catalog.NONE
    return {
        "Postprocess upscale by": None if upscale.width else upscale.scale,
        "Postprocess upscale to": f"{upscale.width}x{upscale.height}" if upscale.width else None,
        "Postprocess upscaler": upscale.upscaler,
        "Postprocess upscaler 2": None if second == upscaler_catalog.NONE else second,
    }


def _changed(value: str, first: str) -> str | None:
    return value if value and value != first else None


def _number(value: float) -> float | int:
    """Integral values are written without decimals."""
    return int(value) if value == int(value) else value
