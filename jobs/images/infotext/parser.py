"""Parser for A1111's infotext (generation parameters as text). No I/O."""

from __future__ import annotations

import json
import re
from typing import Any

PAIR = re.compile(r'\s*(\w[\w \-/]*):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
SIZE = re.compile(r"(\d+)x(\d+)")
MIN_PAIRS = 3  # minimum number of pairs in a last line that contains parameters
NEGATIVE = "Negative prompt:"
MAX_LENGTH = 100_000  # maximum length of an infotext, in characters

# Values implied when the infotext does not contain them.
IMPLIED: dict[str, Any] = {
    "Clip skip": "1",
    "Hires resize-1": 0,
    "Hires resize-2": 0,
    "Hires sampler": "Use same sampler",
    "Hires schedule type": "Use same scheduler",
    "Hires checkpoint": "Use same checkpoint",
    "Hires prompt": "",
    "Hires negative prompt": "",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": 32,
    "RNG": "GPU",
    "Schedule type": "Automatic",
    "Schedule max sigma": 0,
    "Schedule min sigma": 0,
    "Schedule rho": 0,
    "VAE Encoder": "Full",
    "VAE Decoder": "Full",
    "FP8 weight": "Disable",
    "Refiner switch by sampling steps": False,
}


def parse_infotext(text: str) -> dict[str, str]:
    """Return the pairs found in the text, plus ``Prompt`` and ``Negative prompt``.

    ``Size: 1x2`` becomes ``Size-1`` and ``Size-2``.
    """
    lines = text[:MAX_LENGTH].strip().split("\n")
    pairs = PAIR.findall(lines[-1])
    if len(pairs) < MIN_PAIRS:
        pairs = []
    prompt, negative = _prompts(lines[:-1] if pairs else lines)
    return {"Prompt": prompt, "Negative prompt": negative, **_split(pairs)}


def with_implied_values(pairs: dict[str, str]) -> dict[str, Any]:
    """Return the pairs with implied values added, as A1111 does."""
    has_emphasis = any(mark in pairs["Prompt"] + pairs["Negative prompt"] for mark in "([")
    implied = IMPLIED | ({"Emphasis": "Original"} if has_emphasis else {})
    return {**pairs, **{name: value for name, value in implied.items() if name not in pairs}}


def _prompts(lines: list[str]) -> tuple[str, str]:
    """Split into prompt and negative prompt, which extends from its label to the end."""
    start = next((index for index, line in enumerate(lines) if line.strip().startswith(NEGATIVE)), len(lines))
    positive = "\n".join(line.strip() for line in lines[:start])
    rest = [line.strip() for line in lines[start:]]
    return positive, "\n".join(rest).removeprefix(NEGATIVE).strip()


def _split(pairs: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, quoted in pairs:
        value = _unquoted(quoted)
        size = SIZE.fullmatch(value)
        if size:
            found |= {f"{name}-1": size[1], f"{name}-2": size[2]}
        else:
            found[name] = value
    return found


def _unquoted(quoted: str) -> str:
    if not (len(quoted) > 1 and quoted[0] == quoted[-1] == '"'):
        return quoted
    try:
        return str(json.loads(quoted))
    except json.JSONDecodeError:
        return quoted
