"""``canny_weight``: how closely the preset's ControlNet holds the picture to the input's structure."""

from __future__ import annotations

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.volcengine.errors import ServiceError
from gpu_runner.protocol import preprocessor_catalog
from gpu_runner.protocol.generation_request import ControlUnit
from models_registry.models import StylePreset
from models_registry.selectors import is_usable

from .json_body import Body

NAMES = ("canny_weight", "controlnet_weight")


def read_controls(preset: StylePreset, body: Body, source: BusinessSource) -> tuple[ControlUnit, ...]:
    """At 0 there is none, and whoever asks for one that this style cannot have is told."""
    name = next((name for name in NAMES if name in body), NAMES[0])
    weight = body.number(name, preset.control_weight if preset.control_module else 0, 0, 1)
    if not weight:
        return ()
    if not preset.control_module:
        raise ServiceError(50200, _("%(name)s: this style has no ControlNet; send 0") % {"name": name})
    if _acts_alone(preset.control_module):
        return (_unit(preset, "", weight),)
    file = preset.control_model
    if file is not None and is_usable(file, source):
        return (_unit(preset, file.name, weight),)
    if preset.control_optional:
        return ()
    words = {"name": name, "module": preset.control_module}
    raise ServiceError(
        50200, _("%(name)s: the ControlNet for %(module)s is not there; send 0 to draw without it") % words
    )


def _acts_alone(module: str) -> bool:
    found = preprocessor_catalog.find(module)
    return found is not None and found.model_free


def _unit(preset: StylePreset, model: str, weight: float) -> ControlUnit:
    return ControlUnit(
        model=model, module=preset.control_module, weight=weight, pixel_perfect=True, return_map=False
    )
