"""The fields of a ControlNet unit: names, aliases, types and bounds of the extension's v1.1.455, and of older clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dialects.a1111.errors import Invalid, WireError
from dialects.a1111.schema.coercion import Coercion, array, boolean, integer, mapping, number, string
from gpu_runner.protocol import preprocessor_catalog

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

Words = dict[str, str]
MOST_WEIGHTS = 64


def words(table: Words, *numbered: str) -> Coercion:
    """One of the words, in any case; or, as older clients and Forge write it, its number."""

    def read(value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(numbered):
            return numbered[value]
        found = table.get(value.strip().lower()) if isinstance(value, str) else None
        if found is None:
            permitted = ", ".join(repr(word) for word in table)
            context = {"given": value, "permitted": list(table)}
            raise Invalid(f"unexpected value; permitted: {permitted}", "value_error.const", context)
        return found

    return read


def between(least: float, most: float) -> Coercion:
    def read(value: Any) -> float:
        given = number(value)
        if given < least:
            message = f"ensure this value is greater than or equal to {least:g}"
            raise Invalid(message, "value_error.number.not_ge", {"limit_value": least})
        if given > most:
            message = f"ensure this value is less than or equal to {most:g}"
            raise Invalid(message, "value_error.number.not_le", {"limit_value": most})
        return given

    return read


def module(value: Any) -> str:
    found = preprocessor_catalog.find(string(value))
    if found is None:
        raise Invalid(f"module({value}) not found in supported modules.", "value_error")
    return found.name


def weights(value: Any) -> tuple[float, ...]:
    return tuple(between(-10, 10)(weight) for weight in array(value)[:MOST_WEIGHTS])


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
    "resize_mode": Field(words(RESIZE_MODES, "stretch", "crop", "fill"), "crop"),
    "low_vram": Field(boolean, False),
    "processor_res": Field(integer, -1),
    "threshold_a": Field(number, -1.0),
    "threshold_b": Field(number, -1.0),
    "guidance_start": Field(between(0, 1), 0.0),
    "guidance_end": Field(between(0, 1), 1.0),
    "pixel_perfect": Field(boolean, False),
    "control_mode": Field(words(CONTROL_MODES, "balanced", "prompt", "control"), "balanced"),
    "hr_option": Field(words(HR_OPTIONS, "both", "low", "high"), "both"),
    "save_detected_map": Field(boolean, True),
    "inpaint_crop_input_image": Field(boolean, True),
    "advanced_weighting": Field(weights, None),
    "effective_region_mask": Field(anything, None),
    "ipadapter_input": Field(anything, None),
}


def read_unit(given: Any) -> dict[str, Any]:
    """Every field, read or at its default; unknown ones are left out. Raises what the extension answers for bad ones."""
    try:
        unit = mapping(given)
    except Invalid as error:
        raise invalid_unit({"__root__": error}) from None
    values, wrong = _renamed(unit)
    read = {}
    for name, field in FIELDS.items():
        try:
            read[name] = field.coerce(values[name]) if values.get(name) is not None else field.default
        except Invalid as error:
            wrong[name] = error
    if not wrong and read["guidance_start"] > read["guidance_end"]:
        message = f"guidance_start({read['guidance_start']}) > guidance_end({read['guidance_end']})"
        wrong["__root__"] = Invalid(message, "value_error")
    if wrong:
        raise invalid_unit(wrong)
    return read


def _renamed(unit: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Invalid]]:
    values, wrong = {name: value for name, value in unit.items() if name in FIELDS}, {}
    for alias, name in ALIASES.items():
        if unit.get(alias) is None:
            continue
        if alias in ("input_image", "mask_image") and values.get(name) is not None:
            wrong[name] = Invalid(f"both {alias} and {name} are given", "value_error")
        if values.get(name) is None:
            values[name] = unit[alias]
    return values, wrong


def invalid_unit(wrong: dict[str, Invalid]) -> WireError:
    """pydantic's text, which clients are shown."""
    count = len(wrong)
    lines = [f"{count} validation error{'s' if count > 1 else ''} for ControlNetUnit"]
    for name, error in wrong.items():
        context = "".join(f"; {key}={value}" for key, value in error.entry.get("ctx", {}).items())
        lines += [name, f"  {error.entry['msg']} (type={error.entry['type']}{context})"]
    return WireError(500, error="ValidationError", errors="\n".join(lines))
