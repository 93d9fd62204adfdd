"""Trying a style preset as its dialect's clients would use it. The dialect tells how; it registers when its app is ready."""

from __future__ import annotations

from collections.abc import Callable

from access.models import BusinessSource
from jobs.admission.submission import Submission
from models_registry.models import StylePreset

# The preset, who pays, the prompt, and the pictures that the preset draws from. Raises Refused.
Reader = Callable[[StylePreset, BusinessSource, str, list[bytes]], Submission]

OPERATION = "try"

_readers: list[Reader] = []


def register(reader: Reader) -> None:
    _readers[:] = [reader]


def submission(preset: StylePreset, source: BusinessSource, prompt: str, pictures: list[bytes]) -> Submission:
    """Raises Refused, or LookupError where no dialect draws with presets."""
    if not _readers:
        raise LookupError("no dialect draws with style presets")
    return _readers[0](preset, source, prompt, pictures)
