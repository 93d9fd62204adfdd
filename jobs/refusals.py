"""Why a request is refused at once: what its source may not ask for, and what no runner here could do."""

from __future__ import annotations

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner import catalogue
from gpu_runner.prompt import unsupported_syntax
from gpu_runner.protocol import GenerationRequest
from models_registry.errors import ModelNotFound
from models_registry.models import Family, Kind, ModelFile
from models_registry.selectors import resolve

from .errors import OverLimit, SourceDisabled, UnknownModel, Unsupported

SUPPORTED_FAMILIES = frozenset({Family.SD15})


def check(source: BusinessSource, request: GenerationRequest) -> ModelFile:
    """The checkpoint that will draw it. Raises Refused."""
    if not source.enabled:
        raise SourceDisabled(_("%(source)s is disabled.") % {"source": source.name})
    _within_limits(source, request)
    _sampler_is_known(request)
    _prompts_are_understood(request)
    return _checkpoint(source, request)


def _within_limits(source: BusinessSource, request: GenerationRequest) -> None:
    limits = {
        "width": source.max_width,
        "height": source.max_height,
        "num_inference_steps": source.max_steps,
        "num_images": source.max_images,
    }
    for field, limit in limits.items():
        asked = getattr(request, field)
        if asked > limit:
            message = _("%(field)s is %(asked)d; the most that %(source)s may ask for is %(limit)d.")
            raise OverLimit(
                message % {"field": field, "asked": asked, "source": source.name, "limit": limit}, field=field
            )


def _sampler_is_known(request: GenerationRequest) -> None:
    try:
        catalogue.sampler(request.sampler)
    except KeyError:
        raise Unsupported(
            _("Unknown sampler: %(name)s") % {"name": request.sampler}, field="sampler"
        ) from None
    if not catalogue.is_scheduler(request.scheduler):
        raise Unsupported(_("Unknown scheduler: %(name)s") % {"name": request.scheduler}, field="scheduler")


def _prompts_are_understood(request: GenerationRequest) -> None:
    for field in ("prompt", "negative_prompt"):
        syntax = unsupported_syntax(getattr(request, field), negative=field == "negative_prompt")
        if syntax:
            raise Unsupported(
                _("The prompt uses %(syntax)s, which is not supported.") % {"syntax": syntax}, field=field
            )


def _checkpoint(source: BusinessSource, request: GenerationRequest) -> ModelFile:
    try:
        checkpoint = resolve(Kind.CHECKPOINT, request.checkpoint, source)
    except ModelNotFound as error:
        raise UnknownModel(str(error), field="checkpoint") from error
    if checkpoint.family not in SUPPORTED_FAMILIES:
        message = _("%(name)s is a checkpoint of a family that cannot be drawn with here: %(family)s.")
        raise Unsupported(
            message % {"name": checkpoint.name, "family": checkpoint.get_family_display()}, field="checkpoint"
        )
    return checkpoint
