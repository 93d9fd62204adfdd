"""Parts of a documentation page: headings and fenced code blocks."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(path: str) -> str:
    return (ROOT / path).read_text()


def code_blocks(text: str) -> list[tuple[str, str]]:
    """(language, code) of each block."""
    return [(found[1], found[2]) for found in _BLOCK.finditer(text)]


def headings(text: str) -> list[int]:
    """The level of each heading, in order."""
    return [len(found[1]) for found in re.finditer(r"^(#+) ", _BLOCK.sub("", text), re.MULTILINE)]


def section(text: str, title: str) -> str:
    """The text below a heading of level 2, up to the next one of level 2 or 3."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)^###? ", text, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]
