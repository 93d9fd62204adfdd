"""Text encoders in files of their own, for checkpoints that do not contain those of their family."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import ModelName
from gpu_runner.protocol.families.family import TextPart
from gpu_runner.protocol.model_detection.parts.text_encoders import LABELS
from jobs.errors import Unsupported
from models_registry.family_facts import family_facts
from models_registry.models import ENCODER, FOLDERS, Kind, ModelFile
from models_registry.parts import chosen_encoder, encoder_fits, separate_parts, takes_text_encoders
from models_registry.selectors import list_for


def text_encoders_for(checkpoint: ModelFile, source: BusinessSource) -> dict[str, ModelFile]:
    """The files by ModelName.key; empty if the checkpoint contains its text encoders.

    Files that the row of the checkpoint names come first; for others that the family needs, or may use, one that fits is
    chosen. Raises Unsupported with the name of the text encoder that is missing, or that the source may not use.
    """
    facts = family_facts(checkpoint)
    if facts is None or not takes_text_encoders(checkpoint, facts):
        return {}
    usable = list(list_for(Kind.TEXT_ENCODER, source).order_by("created_at", "pk"))
    found = _of_row(checkpoint, {file.pk for file in usable})
    for part in separate_parts(checkpoint):
        if part.kind in found:
            continue
        file = chosen_encoder(checkpoint, part, usable)
        if file is not None:
            found[part.kind] = file
        elif not part.optional:
            raise _missing(checkpoint, part)
    return {ModelName(Kind.TEXT_ENCODER, file.name).key: file for file in found.values()}


def text_encoders_of_all(checkpoints: Sequence[ModelFile], source: BusinessSource) -> dict[str, ModelFile]:
    """Those of the checkpoints of a request. Of a kind that several need, the first decides."""
    found: dict[str, ModelFile] = {}
    for checkpoint in checkpoints:
        kinds = {file.metadata.get(ENCODER) for file in found.values()}
        more = text_encoders_for(checkpoint, source)
        found |= {key: file for key, file in more.items() if file.metadata.get(ENCODER) not in kinds}
    return found


def _of_row(checkpoint: ModelFile, usable: set[int]) -> dict[str, ModelFile]:
    """Text encoders of the checkpoint's row by kind."""
    files = list(checkpoint.text_encoder_files.all())
    if unusable := next((file for file in files if file.pk not in usable), None):
        message = _("%(name)s uses the text encoder %(file)s, which cannot be used.")
        words = {"name": checkpoint.name, "file": unusable.name}
        raise Unsupported(message % words, field="checkpoint")
    found = {str(file.metadata.get(ENCODER)): file for file in files}
    for part in separate_parts(checkpoint):
        if part.edits and part.kind in found and not encoder_fits(checkpoint, found[part.kind]):
            if "text_encoder_files" in checkpoint.edited_fields:
                message = _(
                    "%(name)s uses the text encoder %(file)s, which has no vision part to read images."
                )
                words = {"name": checkpoint.name, "file": found[part.kind].name}
                raise Unsupported(message % words, field="checkpoint")
            del found[part.kind]  # a scan has chosen it before the row said that the model edits
    return found


def _missing(checkpoint: ModelFile, part: TextPart) -> Unsupported:
    message = _("%(name)s needs the text encoder %(encoder)s: put its file into the folder %(folder)s.")
    if part.edits:
        message = _(
            "%(name)s needs the text encoder %(encoder)s with its vision part, which reads the images: put such a file into"
            " the folder %(folder)s."
        )
    folder = FOLDERS[Kind.TEXT_ENCODER]
    words = {"name": checkpoint.name, "encoder": LABELS[part.kind], "folder": folder}
    return Unsupported(message % words, field="checkpoint")
