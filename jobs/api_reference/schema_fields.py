"""Rows of a field table from the JSON schema of a request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from .meanings import meaning_of
from .reference import FieldRow

MAX_DEPTH = 4  # of nested objects
MAX_DEFAULT = 60  # characters
LIMITS = (("minimum", "≥ {}"), ("ge", "≥ {}"), ("maximum", "≤ {}"), ("le", "≤ {}"))
SIZES = (("maxLength", "maxLength {}"), ("maxItems", "maxItems {}"))
INPUT_IMAGE = "InputImage"  # written as text: a data URI, or the SHA-256 of an upload


def rows_of(model: type[BaseModel]) -> list[FieldRow]:
    """Fields of a pydantic model by the names of the wire, nested ones after the field that contains them."""
    schema = model.model_json_schema(by_alias=True)
    return list(_rows(schema, schema.get("$defs", {}), "", 1))


def _rows(schema: dict[str, Any], known: dict[str, Any], prefix: str, depth: int) -> Iterator[FieldRow]:
    required = set(schema.get("required", ()))
    for name, given in schema.get("properties", {}).items():
        field = _resolved(given, known)
        path = prefix + name
        meaning = meaning_of(path) or _first_line(given.get("description") or field.get("description", ""))
        yield FieldRow(path, _type(field, known), name in required, _default(given), _allowed(field), meaning)
        nested, suffix = _nested(field, known)
        if nested and depth < MAX_DEPTH:
            yield from _rows(nested, known, f"{path}{suffix}.", depth + 1)


def _resolved(field: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """The schema behind references, and without null."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        if name == INPUT_IMAGE:
            return {"type": "string", "format": "image"}
        return _resolved(known.get(name, {}), known)
    choices = [choice for choice in field.get("anyOf", ()) if choice.get("type") != "null"]
    return _resolved(choices[0], known) if choices else field


def _nested(field: dict[str, Any], known: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The schema of the object in a field or its items, if it has properties."""
    if "properties" in field:
        return field, ""
    items = field.get("items")
    resolved = _resolved(items, known) if isinstance(items, dict) else {}
    return (resolved, "[]") if "properties" in resolved else ({}, "")


def _type(field: dict[str, Any], known: dict[str, Any]) -> str:
    if field.get("format") == "image":
        return "image"
    if field.get("type") == "array":
        items = field.get("items")
        inner = _type(_resolved(items, known), known) if isinstance(items, dict) else ""
        return f"array of {inner}" if inner else "array"
    return str(field.get("type", "string" if "enum" in field else "any"))


def _default(field: dict[str, Any]) -> str:
    if field.get("default") in (None, "", [], {}) or isinstance(field["default"], dict):
        return ""
    text = json.dumps(field["default"], ensure_ascii=False)
    return text if len(text) <= MAX_DEFAULT else text[: MAX_DEFAULT - 1] + "…"


def _allowed(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    return ", ".join(form.format(field[name]) for name, form in (*LIMITS, *SIZES) if name in field)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
