"""From the units of ``alwayson_scripts.controlnet`` to the canonical request's control units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol import preprocessor_catalog
from gpu_runner.protocol.generation_request import ControlUnit
from models_registry.selectors import control_model

from .fields_v2 import Unit
from .input_images import Inputs

SAME = (
    "weight",
    "guidance_start",
    "guidance_end",
    "control_mode",
    "resize_mode",
    "pixel_perfect",
)
PLACE = "alwayson_scripts.controlnet.args"


def control_units(units: Sequence[Unit], source: BusinessSource, inputs: Inputs) -> list[ControlUnit]:
    """Raises WireError, or Refused for a picture that cannot be had."""
    return [
        _control_unit(unit, source, inputs, f"{PLACE}.{index}")
        for index, unit in enumerate(units)
        if unit.enabled
    ]


def _control_unit(unit: Unit, source: BusinessSource, inputs: Inputs, place: str) -> ControlUnit:
    module = known_module(unit.module, f"{place}.module")
    return ControlUnit(
        model="" if module.model_free else _model(unit.model, source, place),
        module=module.name,
        image=inputs.fetched(unit.image_link) if unit.image_link else None,
        return_map=False,
        **sliders(unit),
        **{name: getattr(unit, name) for name in SAME},
    )


class Sliders(Protocol):
    @property
    def processor_res(self) -> int: ...

    @property
    def threshold_a(self) -> float: ...

    @property
    def threshold_b(self) -> float: ...


def sliders(asked: Sliders) -> dict[str, Any]:
    """-1 is the module's own default."""
    return {
        "processor_res": asked.processor_res if asked.processor_res > 0 else None,
        "threshold_a": None if asked.threshold_a == -1 else asked.threshold_a,
        "threshold_b": None if asked.threshold_b == -1 else asked.threshold_b,
    }


def known_module(name: str, field: str) -> preprocessor_catalog.Module:
    """Raises WireError, also for one that does not work here."""
    module = preprocessor_catalog.find(name)
    if module is None:
        raise WireError(_("%(field)s: there is no %(name)s") % {"field": field, "name": name})
    if module.refused:
        words = {"field": field, "name": name, "reason": module.refused}
        raise WireError(_("%(field)s: %(name)s is not supported: %(reason)s") % words)
    return module


def _model(name: str, source: BusinessSource, place: str) -> str:
    if name.lower() in ("", "none"):
        raise WireError(_("%(place)s.model: the unit has no ControlNet model") % {"place": place})
    file = control_model(name, source)
    if file is None:
        raise WireError(_("%(place)s.model: there is no %(name)s") % {"place": place, "name": name})
    return file.name
