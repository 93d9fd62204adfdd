"""Convert the units of ``alwayson_scripts.ControlNet`` to control units of the canonical request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.a1111.authentication import DIALECT
from dialects.a1111.errors import Location, Unprocessable, path_of
from dialects.a1111.options.options import EffectiveOptions
from dialects.a1111.schema import images
from gpu_runner.protocol import InputImage
from gpu_runner.protocol.catalogs import preprocessors as preprocessor_catalog
from gpu_runner.protocol.request_parts.control import ControlUnit
from models_registry.selectors import control_model, control_model_problem

from .fields import read_unit

SCRIPT = "controlnet"
NO_MODEL = ("", "none")


@dataclass
class Controls:
    units: list[ControlUnit] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)  # contents of the image files that the units use

    def add_file(self, text: Any, location: Location) -> InputImage | None:
        """Decode an image and add it to the files; None if ``text`` is None."""
        if text is None:
            return None
        data = images.decode(text, path_of(location))
        self.files.append(data)
        return InputImage(sha256=images.sha256(data))


def read_controls(
    parameters: dict[str, Any], settings: EffectiveOptions, source: BusinessSource, operation: str
) -> Controls:
    controls = Controls()
    for name, script in parameters["alwayson_scripts"].items():
        if str(name).lower() != SCRIPT:
            continue
        location = ("body", "alwayson_scripts", name, "args")
        arguments = _arguments(script, location)
        limit = int(settings["control_net_unit_count"])
        if len(arguments) > limit:
            message = _("only the first %d ControlNet units are used") % limit
            settings.fallbacks.add(location, message)
        for index, given in enumerate(arguments[:limit]):
            _add(controls, given, source, (*location, index), needs_image=operation == "txt2img")
    if settings["control_net_no_detectmap"]:
        controls.units = [unit.model_copy(update={"return_map": False}) for unit in controls.units]
    return controls


def _arguments(script: Any, location: Location) -> list[Any]:
    arguments = script.get("args") if isinstance(script, dict) else script
    if not isinstance(arguments or [], list):
        raise Unprocessable.at(location, "value is not a valid list", "type_error.list")
    return [argument for argument in arguments or [] if argument]


def _add(
    controls: Controls, given: Any, source: BusinessSource, location: Location, *, needs_image: bool
) -> None:
    if not isinstance(given, dict):
        raise Unprocessable.unsupported(
            location, _("a unit must be an object; the positional form is not supported")
        )
    values = read_unit(given)
    if not values["enabled"]:
        return
    if values["ipadapter_input"] is not None:
        raise Unprocessable.unsupported((*location, "ipadapter_input"), _("pickled tensors are not accepted"))
    module = preprocessor_catalog.MODULES[values["module"]]
    if module.refused:
        raise Unprocessable.unsupported((*location, "module"), f"{module.name}: {module.refused}")
    image, mask = _image_and_mask(values, location)
    if needs_image and image is None:
        raise Unprocessable.at((*location, "image"), _("the unit has no image"), "value_error.missing")
    controls.units.append(
        ControlUnit(
            model="" if module.model_free else _model(values["model"], source, location),
            module=module.name,
            image=controls.add_file(image, (*location, "image")),
            mask=controls.add_file(mask, (*location, "mask")),
            region=controls.add_file(
                _none_if_empty(values["effective_region_mask"]), (*location, "effective_region_mask")
            ),
            return_map=values["save_detected_map"],
            control_type=values["union_control_type"],
            crop_with_mask=values["inpaint_crop_input_image"],
            layer_weights=values["advanced_weighting"] or (),
            processor_res=values["processor_res"] if 0 < values["processor_res"] <= 4096 else None,
            threshold_a=None if values["threshold_a"] == -1 else values["threshold_a"],
            threshold_b=None if values["threshold_b"] == -1 else values["threshold_b"],
            **{name: values[name] for name in COPIED_FIELDS},
        )
    )


COPIED_FIELDS = (
    "weight",
    "guidance_start",
    "guidance_end",
    "control_mode",
    "resize_mode",
    "pixel_perfect",
    "hr_option",
)


def _image_and_mask(values: dict[str, Any], location: Location) -> tuple[Any, Any]:
    """Split ``image``, which may contain its mask: {image, mask}, [image, mask] or [{image, mask}]."""
    image, mask = values["image"], values["mask"]
    if isinstance(image, list) and len(image) == 1:
        image = image[0]
    if isinstance(image, list):
        if len(image) != 2 or any(isinstance(part, dict) for part in image):
            raise Unprocessable.unsupported((*location, "image"), _("a unit takes exactly one image"))
        image = {"image": image[0], "mask": image[1]}
    if isinstance(image, dict):
        inner = image.get("mask")
        image, mask = image.get("image"), inner if mask is None else mask
    return _none_if_empty(image), _none_if_empty(mask)


def _none_if_empty(text: Any) -> Any:
    """Treat an empty string as no image: the most used client sends it."""
    return None if text == "" else text


def _model(name: str, source: BusinessSource, location: Location) -> str:
    """Resolve the client's model name to the registry's name."""
    field_location = (*location, "model")
    if name.strip().lower() in NO_MODEL:
        raise Unprocessable.at(field_location, _("the unit has no ControlNet model"), "value_error.missing")
    file = control_model(name, source, dialect=DIALECT)
    if file is None:
        message = control_model_problem(name, source) or _("ControlNet model not found: %s") % name
        raise Unprocessable.at(field_location, message, "value_error.unknown_model")
    return file.name
