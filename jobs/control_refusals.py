"""Control units that no runner could do."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import GenerationRequest, preprocessor_catalog
from gpu_runner.protocol.generation_request import ControlUnit
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import resolve

from .errors import Refused, Unsupported
from .models import Backend

FIELD = "controls"
KEEPS_OUTSIDE = "inpaint_only"


def every(
    source: BusinessSource, request: GenerationRequest, backend: str = Backend.PIPELINE
) -> Iterator[Refused]:
    """Which preprocessors ComfyUI has, its workflows tell."""
    for unit in request.controls:
        try:
            if backend == Backend.PIPELINE:
                _must_work(source, _module(unit))
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


def _module(unit: ControlUnit) -> preprocessor_catalog.Module:
    module = preprocessor_catalog.find(unit.module)
    if module is None:
        raise Unsupported(_("Unknown preprocessor: %(name)s") % {"name": unit.module}, field=FIELD)
    if module.refused:
        words = {"name": module.name, "reason": module.refused}
        raise Unsupported(_("The preprocessor %(name)s is not supported: %(reason)s.") % words, field=FIELD)
    return module


def _must_work(source: BusinessSource, module: preprocessor_catalog.Module) -> None:
    if not module.weights:
        return
    try:
        resolve(Kind.PREPROCESSOR, module.weights, source)
    except ModelNotFound:
        message = _("The preprocessor %(name)s needs the file %(file)s, which the registry does not have.")
        words = {"name": module.name, "file": f"preprocessors/{module.weights}"}
        raise Unsupported(message % words, field=FIELD) from None
