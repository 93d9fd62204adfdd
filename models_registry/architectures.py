"""What the scan keeps of the shapes in a model file, and whether a LoRA or ControlNet fits a checkpoint by them."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from gpu_runner.protocol.model_detection import fitting
from models_registry.models import Architecture, ModelFile

Version = tuple[int, str, datetime | None]  # of a file, and of what the scan found in it


def keep(file: ModelFile, content: dict[str, Any]) -> None:
    """Store what the scan found; nothing for kinds that are not compared."""
    if content:
        Architecture.objects.update_or_create(file=file, defaults={"content": content})
    else:
        Architecture.objects.filter(file=file).delete()


def misfit(file: ModelFile, checkpoint: ModelFile) -> str:
    """Why the file cannot be used with the checkpoint; empty if it can, or if neither has been scanned."""
    return _misfit(_version(file), _version(checkpoint))


def _version(file: ModelFile) -> Version:
    return file.pk, file.sha256, file.scanned_at


@lru_cache(4096)
def _misfit(file: Version, checkpoint: Version) -> str:
    content = dict(
        Architecture.objects.filter(file__in=[file[0], checkpoint[0]]).values_list("file", "content")
    )
    return fitting.misfit(content.get(file[0], {}), content.get(checkpoint[0], {}))
