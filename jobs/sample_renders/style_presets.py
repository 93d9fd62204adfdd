"""Sample jobs of a style preset. The dialect with presets registers its reader in ``AppConfig.ready``."""

from __future__ import annotations

from collections.abc import Callable

from access.models import BusinessSource
from jobs.admission.submission import Submission
from models_registry.models import StylePreset

# Arguments: preset, source that is billed, prompt, input images. Raises Refused.
Reader = Callable[[StylePreset, BusinessSource, str, list[bytes]], Submission]

OPERATION = "try"

_readers: list[Reader] = []


def register(reader: Reader) -> None:
    _readers[:] = [reader]


def submission(preset: StylePreset, source: BusinessSource, prompt: str, images: list[bytes]) -> Submission:
    """Build the submission. Raises Refused, or LookupError if no dialect has registered a reader."""
    if not _readers:
        raise LookupError("no dialect has registered a reader of style presets")
    return _readers[0](preset, source, prompt, images)
