"""LoRA tags in prompts, ``<lora:NAME:0.8>``, for dialects in which they are not the original's syntax.

Everywhere, the text encoder reads the positive prompt without its tags, so that a tag is either used or refused.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.prompt.extra_networks import InvalidTag, Tag, extra_networks
from gpu_runner.protocol.request_parts.details import DetailPass
from gpu_runner.protocol.request_parts.passes import LoraUse
from gpu_runner.protocol.request_parts.values import MAX_LORAS
from jobs.errors import Unsupported
from models_registry.errors import ModelNotFound
from models_registry.lora_tags import lora_use


def with_tagged_loras(
    request: GenerationRequest, source: BusinessSource, *, dialect: str = ""
) -> GenerationRequest:
    """Add the LoRAs of the prompts' tags to ``loras``. A LoRA that the request names itself keeps those weights.

    ``dialect``: as for ``resolve``. Raises Unsupported for a tag that cannot be used.
    """
    loras = _with_tags(request.loras, request.prompt, source, "prompt", dialect)
    hires = request.hires
    if hires is not None and hires.prompt:
        of_hires = _with_tags(hires.loras or (), hires.prompt, source, "hires.prompt", dialect)
        if of_hires or hires.loras is not None:
            hires = hires.model_copy(update={"loras": of_hires})
    details = tuple(
        _detail_with_tags(part, source, number, dialect) for number, part in enumerate(request.detail_passes)
    )
    return request.model_copy(update={"loras": loras, "hires": hires, "detail_passes": details})


def _detail_with_tags(part: DetailPass, source: BusinessSource, number: int, dialect: str) -> DetailPass:
    regions = []
    for region in part.regions:
        field = f"detail_passes.{number}.regions"
        loras = _with_tags(region.loras or (), region.prompt, source, field, dialect)
        known = loras or region.loras is not None
        regions.append(region.model_copy(update={"loras": loras}) if known else region)
    return part.model_copy(update={"regions": tuple(regions)})


def refuse_tags(prompt: str, instead: str) -> None:
    """Refuse a prompt with tags. ``instead`` is the field for LoRAs; empty if the API has none. Raises Unsupported."""
    for tag in extra_networks(prompt)[1]:
        if instead:
            message = _("%(tag)s in the prompt is not supported: use %(field)s")
        else:
            message = _("%(tag)s in the prompt is not supported")
        raise Unsupported(message % {"tag": _shown(tag), "field": instead}, field="prompt")


def _with_tags(
    loras: tuple[LoraUse, ...], prompt: str, source: BusinessSource, field: str, dialect: str
) -> tuple[LoraUse, ...]:
    uses = {lora.name: lora for lora in loras}
    added: list[LoraUse] = []
    for tag in extra_networks(prompt)[1]:
        try:
            use = LoraUse.model_validate(lora_use(tag, source, dialect=dialect))
        except (InvalidTag, ModelNotFound, ValueError) as error:
            reason = _("the weights must be from -10 to 10") if _is_out_of_range(error) else str(error)
            message = _("%(tag)s in the prompt cannot be used: %(reason)s")
            raise Unsupported(message % {"tag": _shown(tag), "reason": reason}, field=field) from None
        if use.name not in uses:
            added.append(use)
    if len(loras) + len(added) > MAX_LORAS:
        message = _("The prompt and loras name %(count)d LoRAs; %(most)d is the most.")
        raise Unsupported(message % {"count": len(loras) + len(added), "most": MAX_LORAS}, field=field)
    return (*loras, *added)


def _is_out_of_range(error: Exception) -> bool:
    return not isinstance(error, InvalidTag | ModelNotFound)


def _shown(tag: Tag) -> str:
    return f"<{tag.kind}:{tag.name[:100]}>"
