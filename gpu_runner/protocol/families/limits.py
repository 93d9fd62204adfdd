"""What a family cannot do for a request. Shared by admission and the runner. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.details import DetailPass
from gpu_runner.protocol.request_parts.passes import Hires
from gpu_runner.protocol.request_parts.sampling import SigmaOverrides

from .family import Family, Feature


@dataclass(frozen=True)
class Limit:
    """A field that the family does not take as it is. ``allowed`` names what it takes; empty: nothing at all.

    ``what`` is the part of the field that is not taken, where it is not the whole field.
    """

    field: str
    got: str = ""
    allowed: tuple[str, ...] = ()
    what: str = ""

    @property
    def name(self) -> str:
        return self.what or self.field


def limits(family: Family, request: GenerationRequest) -> Iterator[Limit]:
    """Yield what of the request the family cannot do."""
    if family.flow is None or not request.denoises:
        return
    passes: list[GenerationRequest | Hires | DetailPass] = [request, *request.detail_passes]
    passes += [request.hires] if request.hires else []
    for each in passes:
        if each.sampler and not family.allows_sampler(each.sampler):
            yield Limit("sampler", each.sampler, family.samplers or ())
        if each.scheduler and not family.allows_scheduler(each.scheduler):
            yield Limit("scheduler", each.scheduler, ("Automatic", *(family.schedulers or ())))
        if each.eta is not None and each.eta > 1:
            yield Limit("eta", f"{each.eta:g}", ("0 - 1",))
    for field in ("width", "height"):
        if getattr(request, field) % family.latents.multiple:
            yield Limit(field, str(getattr(request, field)), (f"n * {family.latents.multiple}",))
    yield from _features(family, request)


def _features(family: Family, request: GenerationRequest) -> Iterator[Limit]:
    loras = [request.loras, request.hires.loras if request.hires else None]
    controls = (*request.controls, *(unit for part in request.detail_passes for unit in part.controls))
    used: list[tuple[Feature, str, bool]] = [
        ("clip_skip", "clip_skip", request.clip_skip > 1),
        ("controlnet", "controls", bool(controls)),
        ("image_guidance", "image_guidance_scale", request.image_guidance_scale is not None),
        ("lora", "loras", any(loras)),
        ("magic_mix", "magic_mix", request.magic_mix is not None),
        ("refiner", "refiner", request.refiner is not None),
        ("tiling", "tiling", request.tiling),
    ]
    yield from (Limit(field) for feature, field, is_used in used if is_used and not family.allows(feature))
    # They act in the attention layers of a UNet.
    references = {unit.module for unit in controls if unit.module.startswith("reference")}
    yield from (Limit("controls", what=module) for module in sorted(references))
    # Noise that is added to x at a level of diffusion models has no meaning at a flow time.
    bend = request.schedule_bend
    if request.s_churn:
        yield Limit("s_churn", f"{request.s_churn:g}", ("0",))
    if (bend.sigma_min, bend.sigma_max) != (SigmaOverrides().sigma_min, SigmaOverrides().sigma_max):
        yield Limit("schedule_bend")


def left_out(family: Family, request: GenerationRequest) -> tuple[str, ...]:
    """Fields that have no effect with the family, although the request sets them."""
    if family.flow is None or not request.denoises:
        return ()
    fields = []
    if request.embeddings and not family.allows("textual_inversion"):
        fields.append("embeddings")
    if family.guidance != "classifier_free" and request.negative_prompt.strip():
        fields.append("negative_prompt")
    if family.allows("control_image") and any(map(_acts_at_times, request.controls)):
        fields.append("controls (weight, guidance_start, guidance_end)")
    if request.sgm_noise_multiplier:
        fields.append("sgm_noise_multiplier")
    return tuple(fields)


def _acts_at_times(unit: ControlUnit) -> bool:
    """Whether a unit without a ControlNet has a weight or a part of the steps, which the transformer's own image has not."""
    return not unit.model and (unit.weight, unit.guidance_start, unit.guidance_end) != (1, 0, 1)
