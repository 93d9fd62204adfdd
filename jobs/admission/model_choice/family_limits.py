"""What the family of a checkpoint cannot do for a request: refused by name, or noted where it has no effect."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.families.family import Family
from gpu_runner.protocol.families.limits import left_out, limits
from gpu_runner.protocol.prompt.window import cut_prompts, window_of
from jobs.errors import Refused, Unsupported
from jobs.models import Backend
from models_registry.errors import ModelNotFound
from models_registry.family_facts import family_facts
from models_registry.models import Kind, ModelFile

from .resolution import ModelResolver


def family_limits(models: ModelResolver, request: GenerationRequest) -> Iterator[Refused]:
    """Yield a refusal for each field that the family does not take. ComfyUI's own workflows decide for themselves."""
    found = _find(models, request.checkpoint) if models.backend == Backend.PIPELINE else None
    if found is None:
        return
    checkpoint, family = found
    for limit in limits(family, request):
        words = {"family": family.label, "name": checkpoint.name, "field": limit.field, "got": limit.got}
        if limit.what:
            words["what"] = limit.what
            message = _("%(name)s is of the family %(family)s, which does not support %(what)s.")
        elif not limit.allowed:
            message = _("%(name)s is of the family %(family)s, which does not support %(field)s.")
        else:
            words["allowed"] = ", ".join(limit.allowed)
            message = _(
                "%(field)s must be one of %(allowed)s for %(name)s, which is of the family %(family)s (got %(got)s)."
            )
        yield Unsupported(message, field=limit.field, words=words)
    yield from _other_latents(models, request, checkpoint, family)


def _other_latents(
    models: ModelResolver, request: GenerationRequest, checkpoint: ModelFile, family: Family
) -> Iterator[Refused]:
    """A second checkpoint must denoise the same kind of latents: those of diffusion, or those of the same family."""
    seconds = {
        "hires": request.hires.checkpoint if request.hires else "",
        "refiner": request.refiner.checkpoint if request.refiner else "",
    }
    for field, name in seconds.items():
        found = _find(models, name) if name else None
        if found is None or found[1] == family or (found[1].flow is None and family.flow is None):
            continue
        words = {"name": found[0].name, "family": found[1].label, "checkpoint": checkpoint.name}
        yield Unsupported(_("%(name)s is for %(family)s, and %(checkpoint)s is not.") % words, field=field)


def family_warnings(checkpoint: ModelFile | None, request: GenerationRequest) -> list[str]:
    """Fields without effect, which clients send whatever the model."""
    family = family_facts(checkpoint) if checkpoint else None
    if family is None:
        return []
    unused = [f"{field}: no effect with {family.label}" for field in left_out(family, request)]
    part = window_of(family)
    window = part.tokens if part else 0
    return [*unused, *(f"{field}: cut to {window} tokens" for field in cut_prompts(family, request))]


def _find(models: ModelResolver, name: str) -> tuple[ModelFile, Family] | None:
    """A checkpoint and its family; None if another check refuses it, or its family is unknown."""
    try:
        checkpoint = models.find(Kind.CHECKPOINT, name)
    except ModelNotFound:
        return None
    family = family_facts(checkpoint)
    return None if family is None else (checkpoint, family)
