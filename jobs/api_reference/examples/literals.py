"""JSON values and paths as source text."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

from .call import Credentials, Path

INDENT = "    "


def subscripts(path: Path) -> str:
    """The path as subscripts of Python and JavaScript: ``["data"][0]``."""
    return "".join(f"[{json.dumps(part)}]" for part in path)


def pretty(value: Any, credentials: str, escape: Callable[[str], str] = str) -> str:
    """JSON text, escaped for where it is written, with this source text in the place of CREDENTIALS."""
    mark = secrets.token_hex(16)  # cannot be guessed, so that no text of a request contains it
    text = json.dumps(value, indent=2, ensure_ascii=False, default=lambda _credentials: mark)
    return escape(text).replace(f'"{mark}"', credentials)


def python_literal(value: Any, indent: str = "") -> str:
    """A JSON value as a Python literal, one member a line."""
    inner = indent + INDENT
    if isinstance(value, Credentials):
        return 'f"{KEY_ID}:{SECRET}"'
    if isinstance(value, dict) and value:
        items = [f"{inner}{_text(name)}: {python_literal(item, inner)},\n" for name, item in value.items()]
        return "{\n" + "".join(items) + indent + "}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[\n" + "".join(f"{inner}{python_literal(item, inner)},\n" for item in value) + indent + "]"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
