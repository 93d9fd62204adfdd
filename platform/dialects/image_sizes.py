"""Image sizes as text, ``WIDTHxHEIGHT`` in pixels."""

from __future__ import annotations

import re

SIZE = re.compile(r"([1-9][0-9]{0,4})\s*[xX×*]\s*([1-9][0-9]{0,4})", re.ASCII)


def parse_size(text: str) -> tuple[int, int] | None:
    """Width and height; None if the text is not a size."""
    match = SIZE.fullmatch(text.strip())
    return (int(match[1]), int(match[2])) if match else None


def size_text(width: int, height: int) -> str:
    return f"{width}x{height}"
