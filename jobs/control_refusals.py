"""Control units that no runner could do."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from gpu_runner.preprocessors import catalogue
from gpu_runner.protocol import GenerationRequest
from gpu_runner.request import ControlUnit
from models_registry.errors import ModelNotFound
from models_registry.models import Kind

from .errors import Refused, Unsupported
from .model_files import ModelResolver
from .models import Backend

FIELD = "controls"
KEEPS_OUTSIDE = "inpaint_only"


def every(models: ModelResolver, request: GenerationRequest) -> Iterator[Refused]:
    """Preprocessors are checked for the pipeline only: ComfyUI's workflows have their own."""
    for unit in request.controls:
        try:
            if models.backend == Backend.PIPELINE:
                _must_work(models, _module(unit))
                _must_have_its_mask(unit, request)
        except Refused as refused:
            yield refused
        if unit.image is None and not request.init_images:
            yield Unsupported(_("A control unit has no picture."), field=FIELD)


def _must_have_its_mask(unit: ControlUnit, request: GenerationRequest) -> None:
    masked = unit.mask or request.inpaint is not None or request.change_background is not None
    if unit.module == KEEPS_OUTSIDE and not masked:
        words = {"name": KEEPS_OUTSIDE}
        raise Unsupported(_("The preprocessor %(name)s needs a mask.") % words, field=FIELD)


def _module(unit: ControlUnit) -> catalogue.Module:
    module = catalogue.find(unit.module)
    if module is None:
        raise Unsupported(_("Unknown preprocessor: %(name)s") % {"name": unit.module}, field=FIELD)
    if module.refused:
        words = {"name": module.name, "reason": module.refused}
        raise Unsupported(_("The preprocessor %(name)s is not supported: %(reason)s.") % words, field=FIELD)
    return module


def _must_work(models: ModelResolver, module: catalogue.Module) -> None:
    if not module.weights:
        return
    try:
        models.find(Kind.PREPROCESSOR, module.weights)
    except ModelNotFound:
        message = _("The preprocessor %(name)s needs the file %(file)s, which the registry does not have.")
        words = {"name": module.name, "file": f"preprocessors/{module.weights}"}
        raise Unsupported(message % words, field=FIELD) from None
