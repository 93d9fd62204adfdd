"""Fields of a ControlNet unit: names, aliases, types and bounds of extension v1.1.455 and older clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dialects.a1111.errors import Invalid, WireError
from dialects.a1111.schema.coercion import Coercion, array, boolean, integer, mapping, number, string
from gpu_runner.protocol.catalogs import preprocessors as preprocessor_catalog
from gpu_runner.protocol.catalogs.control_types import MODES

ALIASES = {
    "input_image": "image",
    "lowvram": "low_vram",
    "guidance": "guidance_end",
    "mask_image": "mask",
}
RESIZE_MODES = {
    "just resize": "stretch",
    "crop and resize": "crop",
    "resize and fill": "fill",
    "inner fit (scale to fit)": "crop",
    "scale to fit (inner fit)": "crop",
    "outer fit (shrink to fit)": "fill",
    "envelope (outer fit)": "fill",
}
CONTROL_MODES = {
    "balanced": "balanced",
    "my prompt is more important": "prompt",
    "controlnet is more important": "control",
}
HR_OPTIONS = {"both": "both", "low res only": "low", "high res only": "high"}

Choices = dict[str, str]
MAX_WEIGHTS = 64


def choice(table: Choices, *numbered: str) -> Coercion:
    """Coercion to one of the values of ``table`` by its key, case-insensitive.

    Older clients and Forge send an index into ``numbered`` instead.
    """

    def read(value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(numbered):
            return numbered[value]
        found = table.get(value.strip().lower()) if isinstance(value, str) else None
        if found is None:
            permitted = ", ".join(repr(name) for name in table)
            context = {"given": value, "permitted": list(table)}
            raise Invalid(f"unexpected value; permitted: {permitted}", "value_error.const", context)
        return found

    return read


def between(minimum: float, maximum: float) -> Coercion:
    def read(value: Any) -> float:
        given = number(value)
        if given < minimum:
            message = f"ensure this value is greater than or equal to {minimum:g}"
            raise Invalid(message, "value_error.number.not_ge", {"limit_value": minimum})
        if given > maximum:
            message = f"ensure this value is less than or equal to {maximum:g}"
            raise Invalid(message, "value_error.number.not_le", {"limit_value": maximum})
        return given

    return read


def module(value: Any) -> str:
    found = preprocessor_catalog.find(string(value))
    if found is None:
        raise Invalid(f"module({value}) not found in supported modules.", "value_error")
    return found.name


def weights(value: Any) -> tuple[float, ...]:
    return tuple(between(-10, 10)(weight) for weight in array(value)[:MAX_WEIGHTS])


# Kinds of control images for unions: those of the extension whose names differ from ours. Others say nothing.
UNION_TYPES = {
    "openpose": "pose",
    **dict.fromkeys(("softedge", "hardedge", "scribble", "lineart", "mlsd"), "canny"),
}


def union_type(value: Any) -> str:
    """Control type of a unit for a union ControlNet; empty for those that no union here tells apart."""
    name = string(value).lower().replace(" ", "").replace("lowquality", "low_quality")
    name = UNION_TYPES.get(name, name)
    return name if name in MODES else ""


def anything(value: Any) -> Any:
    return value


class Field(NamedTuple):
    coerce: Callable[[Any], Any]
    default: Any


FIELDS: dict[str, Field] = {
    "enabled": Field(boolean, True),
    "module": Field(module, "none"),
    "model": Field(string, "None"),
    "weight": Field(between(0, 2), 1.0),
    "image": Field(anything, None),
    "mask": Field(anything, None),
    "resize_mode": Field(choice(RESIZE_MODES, "stretch", "crop", "fill"), "crop"),
    "low_vram": Field(boolean, False),
    "processor_res": Field(integer, -1),
    "threshold_a": Field(number, -1.0),
    "threshold_b": Field(number, -1.0),
    "guidance_start": Field(between(0, 1), 0.0),
    "guidance_end": Field(between(0, 1), 1.0),
    "pixel_perfect": Field(boolean, False),
    "control_mode": Field(choice(CONTROL_MODES, "balanced", "prompt", "control"), "balanced"),
    "hr_option": Field(choice(HR_OPTIONS, "both", "low", "high"), "both"),
    "save_detected_map": Field(boolean, True),
    "inpaint_crop_input_image": Field(boolean, True),
    "advanced_weighting": Field(weights, None),
    "effective_region_mask": Field(anything, None),
    "ipadapter_input": Field(anything, None),
    "union_control_type": Field(union_type, ""),
}


def read_unit(given: Any) -> dict[str, Any]:
    """Parse a unit: every field, with its default if absent. Unknown fields are dropped.

    Raises the extension's error for invalid values.
    """
    try:
        unit = mapping(given)
    except Invalid as error:
        raise invalid_unit({"__root__": error}) from None
    values, invalid = _resolve_aliases(unit)
    read = {}
    for name, field in FIELDS.items():
        try:
            read[name] = field.coerce(values[name]) if values.get(name) is not None else field.default
        except Invalid as error:
            invalid[name] = error
    if not invalid and read["guidance_start"] > read["guidance_end"]:
        message = f"guidance_start({read['guidance_start']}) > guidance_end({read['guidance_end']})"
        invalid["__root__"] = Invalid(message, "value_error")
    if invalid:
        raise invalid_unit(invalid)
    return read


def _resolve_aliases(unit: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Invalid]]:
    values, invalid = {name: value for name, value in unit.items() if name in FIELDS}, {}
    for alias, name in ALIASES.items():
        if unit.get(alias) is None:
            continue
        if alias in ("input_image", "mask_image") and values.get(name) is not None:
            invalid[name] = Invalid(f"both {alias} and {name} are given", "value_error")
        if values.get(name) is None:
            values[name] = unit[alias]
    return values, invalid


def invalid_unit(invalid: dict[str, Invalid]) -> WireError:
    """Build the error with pydantic's message text, because clients display it."""
    count = len(invalid)
    lines = [f"{count} validation error{'s' if count > 1 else ''} for ControlNetUnit"]
    for name, error in invalid.items():
        context = "".join(f"; {key}={value}" for key, value in error.entry.get("ctx", {}).items())
        lines += [name, f"  {error.entry['msg']} (type={error.entry['type']}{context})"]
    return WireError(500, error="ValidationError", errors="\n".join(lines))
