"""What an operator can do about a model file with a problem: one sentence for each kind of reason."""

from __future__ import annotations

import re

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from models_registry.models import ModelFile
from models_registry.scanning.problem_texts import is_text_of

# Reasons of the inspection, which are in English; the first match counts.
REASONS: list[tuple[re.Pattern[str], str | Promise]] = [
    (re.compile(r"quantized"), _("Get the fp16 or bf16 edition of the file.")),
    (
        re.compile(r"truncated|not a valid safetensors file|incomplete|ends before|not an ONNX file"),
        _("The file is damaged or its download was cut off: copy it again and scan."),
    ),
    (
        re.compile(r"has no text encoder|UNet alone|text encoder alone|missing tensor|missing the"),
        _("Only a part of a model is in the file: get the complete checkpoint in one file."),
    ),
    (
        re.compile(r"pickle|globals?\b|would call|unpickl|not allowed"),
        _("The file could execute code when it is loaded: get its safetensors edition."),
    ),
    (re.compile(r"tag table"), _("Put the tag table (CSV) of the tagger beside it and scan.")),
    (
        re.compile(r"which is not supported|not supported here|not drawn here"),
        _("This kind of model is not used here: remove the file, or disable it to hide it."),
    ),
]
DEFAULT = _("Remove the file, or replace it by another edition and scan.")
MISSING = _("Put the file back at its path and scan; or disable it, if it is gone for good.")
DENIED = _("Give the platform's user read permission for the file and scan.")
FORMAT = _("Convert the file to safetensors, or remove it.")
FAILED = _("Look for the file's name in the log of the background cluster, and report the error.")


def remedy(file: ModelFile) -> str | Promise:
    """What to do about the problem of a file; empty if it has none."""
    if not file.problem:
        return MISSING if file.missing_since else ""
    for name, advice in (("denied", DENIED), ("format", FORMAT), ("failed", FAILED)):
        if is_text_of(name, file.problem):
            return advice
    return next((advice for pattern, advice in REASONS if pattern.search(file.problem)), DEFAULT)
