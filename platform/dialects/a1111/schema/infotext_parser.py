"""Reading an infotext: what A1111 writes under a picture, back into its pairs. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

PAIR = re.compile(r'\s*(\w[\w \-/]*):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
SIZE = re.compile(r"(\d+)x(\d+)")
FEWEST_PAIRS = 3  # in a last line that holds parameters
NEGATIVE = "Negative prompt:"
LONGEST = 100_000  # characters; nobody's prompt is longer

# What a text that does not say it means.
UNSAID: dict[str, Any] = {
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


def said(text: str) -> dict[str, str]:
    """The pairs that are there, with ``Prompt`` and ``Negative prompt``; ``Size: 1x2`` is ``Size-1`` and ``Size-2``."""
    lines = text[:LONGEST].strip().split("\n")
    pairs = PAIR.findall(lines[-1])
    if len(pairs) < FEWEST_PAIRS:
        pairs = []
    prompt, negative = _prompts(lines[:-1] if pairs else lines)
    return {"Prompt": prompt, "Negative prompt": negative, **_split(pairs)}


def with_the_unsaid(pairs: dict[str, str]) -> dict[str, Any]:
    """As A1111 hands them on: with what the text leaves open."""
    emphasised = any(mark in pairs["Prompt"] + pairs["Negative prompt"] for mark in "([")
    unsaid = UNSAID | ({"Emphasis": "Original"} if emphasised else {})
    return {**pairs, **{name: value for name, value in unsaid.items() if name not in pairs}}


def _prompts(lines: list[str]) -> tuple[str, str]:
    """The negative prompt begins in the line that says so, and goes on to the end."""
    start = next((index for index, line in enumerate(lines) if line.strip().startswith(NEGATIVE)), len(lines))
    positive = "\n".join(line.strip() for line in lines[:start])
    rest = [line.strip() for line in lines[start:]]
    return positive, "\n".join(rest).removeprefix(NEGATIVE).strip()


def _split(pairs: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, written in pairs:
        value = _unquoted(written)
        size = SIZE.fullmatch(value)
        if size:
            found |= {f"{name}-1": size[1], f"{name}-2": size[2]}
        else:
            found[name] = value
    return found


def _unquoted(written: str) -> str:
    if not (len(written) > 1 and written[0] == written[-1] == '"'):
        return written
    try:
        return str(json.loads(written))
    except json.JSONDecodeError:
        return written
