"""What is true of the family of a model file, or of its variant: that of the row, or the one that the tensors tell."""

from __future__ import annotations

from gpu_runner.protocol.families.family import Family
from gpu_runner.protocol.families.registry import FAMILIES, family_of
from models_registry.models import VARIANT, ModelFile


def takes_references(file: ModelFile | None) -> bool:
    """Whether a checkpoint reads images beside the latent, so that it edits them as the prompt says."""
    facts = family_facts(file) if file else None
    return facts is not None and facts.references is not None


def family_facts(file: ModelFile) -> Family | None:
    """None if the family is not known."""
    if file.family not in FAMILIES:
        return None
    return family_of(file.family, file.variant or str(file.metadata.get(VARIANT, "")))
