"""``canny_weight``: weight of the preset's ControlNet, which keeps the structure of the input image."""

from __future__ import annotations

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.volcengine.authentication import DIALECT
from dialects.volcengine.errors import ServiceError
from gpu_runner.protocol.catalogs import preprocessors as preprocessor_catalog
from gpu_runner.protocol.request_parts.control import ControlUnit
from models_registry.models import StylePreset
from models_registry.selectors import is_usable

from .json_body import Body

FIELD_NAMES = ("canny_weight", "controlnet_weight")


def read_controls(preset: StylePreset, body: Body, source: BusinessSource) -> tuple[ControlUnit, ...]:
    """ControlNet units of the request; none if the weight is 0.

    Raises ServiceError 50200 if the style has no ControlNet, or a required one is not available.
    """
    name = next((name for name in FIELD_NAMES if name in body), FIELD_NAMES[0])
    weight = body.number(name, preset.control_weight if preset.control_module else 0, 0, 1)
    if not weight:
        return ()
    if not preset.control_module:
        raise ServiceError(50200, _("%(name)s must be 0: this style has no ControlNet") % {"name": name})
    if _needs_no_model(preset.control_module):
        return (_unit(preset, "", weight),)
    file = preset.control_model
    if file is not None and is_usable(file, source, dialect=DIALECT):
        return (_unit(preset, file.name, weight),)
    if preset.control_optional:
        return ()
    values = {"name": name, "module": preset.control_module}
    raise ServiceError(
        50200, _("%(name)s must be 0: the ControlNet model for %(module)s is not available") % values
    )


def _needs_no_model(module: str) -> bool:
    preprocessor = preprocessor_catalog.find(module)
    return preprocessor is not None and preprocessor.model_free


def _unit(preset: StylePreset, model: str, weight: float) -> ControlUnit:
    return ControlUnit(
        model=model, module=preset.control_module, weight=weight, pixel_perfect=True, return_map=False
    )
