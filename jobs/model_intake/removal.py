"""Removal of a model by the source that has loaded it. Its file is disabled, not deleted: jobs may still use it."""

from __future__ import annotations

from django.db.models import Q

from access.models import BusinessSource
from jobs.models.model_intake import IntakeState, ModelIntake
from models_registry.models import ModelFile


def own_model(source: BusinessSource, name: str) -> ModelFile | None:
    """The enabled file that the source has loaded under this name, and that no other source uses."""
    if "\0" in name:
        return None
    loaded = ModelIntake.objects.filter(source=source, state=IntakeState.READY, is_shared=False)
    loaded = loaded.filter(Q(name=name) | Q(file__name=name), file__enabled=True)
    for intake in loaded.select_related("file").order_by("-created_at"):
        file = intake.file
        # Operators may have shared it with others since.
        if file is not None and list(file.allowed_sources.all()) == [source]:
            return file
    return None


def disable(file: ModelFile) -> None:
    ModelFile.objects.filter(pk=file.pk).update(enabled=False, is_default=False)
