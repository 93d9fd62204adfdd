"""What is true of the family of a model file, or of the variant of it that the scan has found."""

from __future__ import annotations

from gpu_runner.protocol.families.family import Family
from gpu_runner.protocol.families.registry import FAMILIES, family_of
from models_registry.models import VARIANT, ModelFile


def family_facts(file: ModelFile) -> Family | None:
    """None if the family is not known."""
    return family_of(file.family, str(file.metadata.get(VARIANT, ""))) if file.family in FAMILIES else None
