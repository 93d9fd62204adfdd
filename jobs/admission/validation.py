"""Validation of a request at admission: limits of the source and key, and unsupported features."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import AccessKey, BusinessSource
from gpu_runner.protocol import GenerationRequest, Hires
from gpu_runner.protocol.catalogs import preprocessors as preprocessor_catalog
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.prompt.composition import PromptTooLong
from gpu_runner.protocol.prompt.embedding_names import passes_of
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.details import DetailPass
from jobs.errors import ModelNotAllowed, OverLimit, Refused, SourceDisabled, Unsupported
from jobs.models import Backend
from models_registry.errors import ModelNotFound
from models_registry.models import RESIDUALS, Kind

from .model_choice.control_models import must_get_what_it_reads
from .model_choice.family_limits import family_limits
from .model_choice.resolution import ModelResolver, Resolution

SIZES = ("width", "height", "num_inference_steps")


def check(models: ModelResolver, key: AccessKey | None, request: GenerationRequest) -> None:
    """Raise the first reason to refuse the request, if there is one. Raises Refused."""
    for refused in every(models, key, request):
        raise refused


def every(models: ModelResolver, key: AccessKey | None, request: GenerationRequest) -> Iterator[Refused]:
    """Yield all reasons to refuse the request."""
    source = models.source
    if not source.enabled:
        yield SourceDisabled(_("%(source)s is disabled.") % {"source": source.name})
    elif source.is_expired:
        yield SourceDisabled(_("%(source)s has expired.") % {"source": source.name})
    yield from _over_limits(source, source.name, request)
    if key is not None:
        yield from _over_limits(key, key.key_id, request)
    # The step counts of a prompt schedule depend on the sampler.
    yield from list(_unknown_samplers(request)) or _prompts_not_understood(request)
    yield from family_limits(models, request)
    yield from unsupported_control_units(models, request)
    yield from _faces_to_keep(request)
    yield from _faces_by_codeformer(request)


def forbidden_models(key: AccessKey | None, files: Resolution) -> Iterator[Refused]:
    """Yield a refusal for each file that the key may not use, although its source may."""
    if key is None or not key.allowed_models:
        return
    for file in files.named:
        if not key.allows_model(file.kind, file.name):
            words = {"key": key.key_id, "name": file.name}
            message = _("%(key)s may not use %(name)s.")
            yield ModelNotAllowed(message % words, field=file.kind)


def _over_limits(
    holder: BusinessSource | AccessKey, name: str, request: GenerationRequest
) -> Iterator[Refused]:
    yield from _each_over(
        holder, name, {field: getattr(request, field) for field in SIZES} | {"num_images": request.num_images}
    )
    if request.hires is not None:
        asked = {field: getattr(request.hires, field) for field in SIZES}
        yield from _each_over(holder, name, asked, "hires.")
    for number, detail in enumerate(request.detail_passes):
        asked = {field: getattr(detail, field) or 0 for field in SIZES}
        yield from _each_over(holder, name, asked, f"detail_passes.{number}.")
    if request.change_background is not None:
        part = request.change_background
        asked = {"width": part.output_width, "height": part.output_height}
        yield from _each_over(holder, name, asked, "output_")


def _each_over(
    holder: BusinessSource | AccessKey, name: str, asked: dict[str, int], part: str = ""
) -> Iterator[Refused]:
    limits = {
        "width": holder.max_width,
        "height": holder.max_height,
        "num_inference_steps": holder.max_steps,
        "num_images": holder.max_images,
    }
    for field, number in asked.items():
        limit = limits[field]
        if limit is not None and number > limit:
            message = _("%(field)s must be at most %(limit)d for %(source)s (got %(asked)d).")
            words = {"asked": number, "source": name, "limit": limit}
            yield OverLimit(message, field=part + field, words=words)


def _faces_to_keep(request: GenerationRequest) -> Iterator[Refused]:
    if request.face_identity:
        message = _("The identity of a face can only be kept by an IP-Adapter face model, and there is none.")
        yield Unsupported(message, field="face_identity")


def is_codeformer(name: str) -> bool:
    """Whether the name refers to CodeFormer, in any common spelling of the file name."""
    return name.lower().replace("-", "").replace("_", "").startswith("codeformer")


CODEFORMER = gettext_lazy(
    "CodeFormer's license forbids commercial use, so it is not used here; GFPGAN restores faces"
)


def _faces_by_codeformer(request: GenerationRequest) -> Iterator[Refused]:
    for part in (request.face_restoration, *(detail.face_restoration for detail in request.detail_passes)):
        if part and is_codeformer(part.model):
            yield Unsupported(f"{CODEFORMER}.", field="face_restoration")


def _unknown_samplers(request: GenerationRequest) -> Iterator[Refused]:
    passes: list[GenerationRequest | Hires | DetailPass] = [request, *request.detail_passes]
    if request.hires:
        passes.insert(1, request.hires)
    for walked in passes:
        may_be_open = walked is not request  # the other passes inherit from the first one
        if not (may_be_open and not walked.sampler) and not sampler_catalog.is_sampler(walked.sampler):
            yield Unsupported(_("Unknown sampler: %(name)s") % {"name": walked.sampler}, field="sampler")
        if not (may_be_open and not walked.scheduler) and not sampler_catalog.is_scheduler(walked.scheduler):
            yield Unsupported(
                _("Unknown scheduler: %(name)s") % {"name": walked.scheduler}, field="scheduler"
            )


def _prompts_not_understood(request: GenerationRequest) -> Iterator[Refused]:
    try:
        passes_of(request)
    except PromptTooLong as error:
        yield Unsupported(str(error), field="prompt")


CONTROLS_FIELD = "controls"
KEEPS_OUTSIDE = "inpaint_only"


def unsupported_control_units(models: ModelResolver, request: GenerationRequest) -> Iterator[Refused]:
    """Yield the reasons to refuse the control units.

    Preprocessors are checked for the pipeline only: ComfyUI workflows have their own.
    """
    for unit in request.controls:
        yield from _unusable(models, unit, has_mask=_is_masked(request))
        if unit.image is None and not request.init_images:
            yield Unsupported(_("A control unit has no picture."), field=CONTROLS_FIELD)
    for part in request.detail_passes:
        for unit in part.controls:
            yield from _unusable(models, unit, has_mask=True)


def _unusable(models: ModelResolver, unit: ControlUnit, *, has_mask: bool) -> Iterator[Refused]:
    try:
        if models.backend == Backend.PIPELINE:
            module = _module(unit)
            _must_work(models, module)
            _must_fit_its_model(models, unit, module)
            _must_have_its_mask(unit, has_mask)
    except Refused as refused:
        yield refused


def _is_masked(request: GenerationRequest) -> bool:
    return request.inpaint is not None or request.change_background is not None


def _must_fit_its_model(
    models: ModelResolver, unit: ControlUnit, module: preprocessor_catalog.Module
) -> None:
    """An unknown ControlNet is refused elsewhere; one that an older version scanned does not tell what it needs."""
    if not unit.model:
        return
    try:
        file = models.find(Kind.CONTROLNET, unit.model)
    except ModelNotFound:
        return
    must_get_what_it_reads(file, unit, module)
    outputs = int(file.metadata.get(RESIDUALS) or 0)
    if unit.layer_weights and outputs and outputs != len(unit.layer_weights):
        message = _("The ControlNet %(name)s needs %(needed)d weights per layer (got %(count)d).")
        words = {"name": unit.model, "needed": outputs, "count": len(unit.layer_weights)}
        raise Unsupported(message % words, field=CONTROLS_FIELD)


def _must_have_its_mask(unit: ControlUnit, has_mask: bool) -> None:
    if unit.module == KEEPS_OUTSIDE and not (unit.mask or has_mask):
        words = {"name": KEEPS_OUTSIDE}
        raise Unsupported(_("The preprocessor %(name)s needs a mask.") % words, field=CONTROLS_FIELD)


def _module(unit: ControlUnit) -> preprocessor_catalog.Module:
    module = preprocessor_catalog.find(unit.module)
    if module is None:
        raise Unsupported(_("Unknown preprocessor: %(name)s") % {"name": unit.module}, field=CONTROLS_FIELD)
    if module.refused:
        words = {"name": module.name, "reason": module.refused}
        raise Unsupported(
            _("The preprocessor %(name)s is not supported: %(reason)s.") % words, field=CONTROLS_FIELD
        )
    return module


def _must_work(models: ModelResolver, module: preprocessor_catalog.Module) -> None:
    if not module.weights:
        return
    try:
        models.find(Kind.PREPROCESSOR, module.weights)
    except ModelNotFound:
        message = _("The preprocessor %(name)s needs the file %(file)s, which the registry does not have.")
        words = {"name": module.name, "file": f"preprocessors/{module.weights}"}
        if command := preprocessor_catalog.INSTALL_COMMANDS.get(module.weights):
            message = _(
                "The preprocessor %(name)s needs the file %(file)s, which the registry does not have:"
                " python %(command)s installs it."
            )
            words["command"] = command
        raise Unsupported(message % words, field=CONTROLS_FIELD) from None
