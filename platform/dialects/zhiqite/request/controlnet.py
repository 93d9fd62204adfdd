"""Convert units of ``alwayson_scripts.controlnet`` to control units of the GenerationRequest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol.catalogs import preprocessors as preprocessor_catalog
from gpu_runner.protocol.request_parts.control import ControlUnit
from models_registry.selectors import control_model, control_model_problem

from .fields_v2 import Unit
from .input_images import InputImages

SAME_NAMED_FIELDS = (
    "weight",
    "guidance_start",
    "guidance_end",
    "control_mode",
    "resize_mode",
    "pixel_perfect",
)
LOCATION = "alwayson_scripts.controlnet.args"


def control_units(units: Sequence[Unit], source: BusinessSource, inputs: InputImages) -> list[ControlUnit]:
    """Control units of the enabled units. Raises WireError, or Refused if an image cannot be fetched."""
    return [
        _control_unit(unit, source, inputs, f"{LOCATION}.{index}")
        for index, unit in enumerate(units)
        if unit.enabled
    ]


def _control_unit(unit: Unit, source: BusinessSource, inputs: InputImages, location: str) -> ControlUnit:
    module = find_preprocessor(unit.module, f"{location}.module")
    return ControlUnit(
        model="" if module.model_free else _model(unit.model, source, location),
        module=module.name,
        image=inputs.fetch(f"{location}.image_link", unit.image_link) if unit.image_link else None,
        return_map=False,
        **preprocessor_parameters(unit),
        **{name: getattr(unit, name) for name in SAME_NAMED_FIELDS},
    )


class PreprocessorFields(Protocol):
    """A body with the parameters of a preprocessor."""

    @property
    def processor_res(self) -> int: ...

    @property
    def threshold_a(self) -> float: ...

    @property
    def threshold_b(self) -> float: ...


def preprocessor_parameters(body: PreprocessorFields) -> dict[str, Any]:
    """Resolution and thresholds; None, sent as -1, is the preprocessor's default."""
    return {
        "processor_res": body.processor_res if body.processor_res > 0 else None,
        "threshold_a": None if body.threshold_a == -1 else body.threshold_a,
        "threshold_b": None if body.threshold_b == -1 else body.threshold_b,
    }


def find_preprocessor(name: str, field: str) -> preprocessor_catalog.Module:
    """The preprocessor of a name. Raises WireError for an unknown or unsupported one."""
    module = preprocessor_catalog.find(name)
    if module is None:
        raise WireError(_("%(field)s: unknown preprocessor %(name)s") % {"field": field, "name": name})
    if module.refused:
        values = {"field": field, "name": name, "reason": module.refused}
        raise WireError(_("%(field)s: %(name)s is not supported: %(reason)s") % values)
    return module


def _model(name: str, source: BusinessSource, location: str) -> str:
    if name.lower() in ("", "none"):
        raise WireError(_("%(location)s.model is required") % {"location": location})
    file = control_model(name, source, dialect=DIALECT)
    if file is None:
        if problem := control_model_problem(name, source):
            raise WireError(f"{location}.model: {problem}")
        values = {"location": location, "name": name}
        raise WireError(_("%(location)s.model: unknown ControlNet model %(name)s") % values)
    return file.name
