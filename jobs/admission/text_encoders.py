"""Text encoders in files of their own, for checkpoints that do not contain those of their family."""

from __future__ import annotations

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import ModelName
from gpu_runner.protocol.families.registry import FAMILIES as FACTS
from gpu_runner.protocol.model_detection.parts.text_encoders import LABELS
from jobs.errors import Unsupported
from models_registry.models import CONTEXT_WIDTH, ENCODER, ENCODERS, FOLDERS, WIDTH, Kind, ModelFile
from models_registry.selectors import list_for


def text_encoders_for(checkpoint: ModelFile, source: BusinessSource) -> dict[str, ModelFile]:
    """The files by ModelName.key; empty if the checkpoint contains its text encoders.

    The oldest usable file of each kind is used. Raises Unsupported, with the name of the text encoder that is missing.
    """
    facts = FACTS.get(checkpoint.family)
    if facts is None or facts.flow is None:
        return {}
    needed = [part.kind for part in facts.text if not part.optional]
    if set(needed) <= set(str(checkpoint.metadata.get(ENCODERS, "")).split()):
        return {}
    width = str(checkpoint.metadata.get(CONTEXT_WIDTH, "")) if len(facts.text) == 1 else ""
    files = [_file(checkpoint, source, kind, width) for kind in needed]
    return {ModelName(Kind.TEXT_ENCODER, file.name).key: file for file in files}


def _file(checkpoint: ModelFile, source: BusinessSource, kind: str, width: str) -> ModelFile:
    """``width``: of the states that the checkpoint reads; empty if it is not known which encoder they are of."""
    files = list_for(Kind.TEXT_ENCODER, source).order_by("-is_default", "created_at", "pk")
    fitting = (file for file in files if file.metadata.get(ENCODER) == kind)
    found = next((file for file in fitting if width in ("", file.metadata.get(WIDTH))), None)
    if found is None:
        message = _("%(name)s needs the text encoder %(encoder)s: put its file into the folder %(folder)s.")
        words = {
            "name": checkpoint.name,
            "encoder": LABELS[kind],
            "folder": FOLDERS[Kind.TEXT_ENCODER],
        }
        raise Unsupported(message % words, field="checkpoint")
    return found
