"""Reading of the text model's answers: a JSON object whose strings are checked. Everything else is unusable."""

from __future__ import annotations

import json
import logging
from typing import Any

import regex

from gpu_runner.protocol.prompt.languages import FOREIGN

from .client import unusable

log = logging.getLogger(__name__)

END_OF_THOUGHTS = "</think>"  # of reasoning models
# Control characters, and characters without a meaning: unassigned, private use, half of a pair.
INVISIBLE = regex.compile(r"[\p{Cc}\p{Cn}\p{Co}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def read_object(answer: str) -> dict[str, Any]:
    """The JSON object of an answer, also in a Markdown fence or after the model's thoughts. Raises TextModelFailed."""
    text = answer.rpartition(END_OF_THOUGHTS)[2]
    start = text.find("{")
    try:
        found, _end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, IndexError, RecursionError):
        found = None
    if start < 0 or not isinstance(found, dict):
        log.warning("text model: no JSON object: %r", answer[:300])
        raise unusable()
    return found


def read_text(value: object, most: int, *, english: bool = False, blank: bool = False) -> str:
    """A text in one line, of at most ``most`` characters. Raises TextModelFailed.

    ``english``: other scripts than Latin are not allowed. ``blank``: may be empty.
    """
    if not isinstance(value, str):
        log.warning("text model: not a text: %.300r", value)
        raise unusable()
    text = " ".join(value.split())
    if (
        len(text) > most
        or INVISIBLE.search(text)
        or not (text or blank)
        or (english and FOREIGN.search(text))
    ):
        log.warning("text model: unusable text of %d characters: %.300r", len(text), text)
        raise unusable()
    return text


def read_list(value: object) -> list[Any]:
    """Raises TextModelFailed."""
    if not isinstance(value, list):
        log.warning("text model: not a list: %.300r", value)
        raise unusable()
    return value
