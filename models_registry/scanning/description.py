"""Fills the card and the generation defaults of a model file from its metadata."""

from __future__ import annotations

from collections.abc import Mapping

from models_registry.facts.cover import ModelCover, stated_cover
from models_registry.facts.metadata import commercial_use, stated
from models_registry.models import FILLED_BY_SCANS, ModelFile


def describe(row: ModelFile, metadata: Mapping[str, str]) -> None:
    """Set the fields that the metadata states, except those that an operator has set. The row is not saved."""
    for name, value in stated(metadata, row.kind, row.family, f"{row.path} {row.name}").items():
        if name not in row.edited_fields:
            setattr(row, name, value)
    if "licence" in row.edited_fields and "commercial_use" not in row.edited_fields:
        row.commercial_use = commercial_use(row.licence)
    row.is_described = True


def describe_again(row: ModelFile) -> None:
    """Describe and save a row that an older version has scanned."""
    describe(row, row.metadata)
    row.save(update_fields=[*FILLED_BY_SCANS, "is_described"])
    store_cover(row, row.metadata)


def store_cover(row: ModelFile, metadata: Mapping[str, str]) -> None:
    """Store the thumbnail of the file's metadata, unless an operator has uploaded a cover."""
    uploaded = ModelCover.objects.filter(file_id=row.pk, origin=ModelCover.Origin.UPLOAD).exists()
    if uploaded:
        return
    jpeg = stated_cover(metadata)
    if jpeg is None:
        ModelCover.objects.filter(file_id=row.pk).delete()
    else:
        ModelCover.store(row, ModelCover.Origin.FILE, jpeg)
