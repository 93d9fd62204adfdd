"""Registers a runner's own model files: known files are matched with their rows, unknown ones get new rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from django.db import transaction
from django.utils import timezone

from models_registry.models import FOLDERS, Kind, ModelFile

from .file_discovery import MAX_PATH_LENGTH
from .scan import MAX_NAME_LENGTH, free_name

MAX_FILES = 20_000
KINDS = {
    FOLDERS[kind]: kind
    for kind in (
        *(Kind.CHECKPOINT, Kind.LORA, Kind.VAE, Kind.CONTROLNET, Kind.EMBEDDING, Kind.UPSCALER),
        *(Kind.DIFFUSION_MODEL, Kind.TEXT_ENCODER),
    )
}


@transaction.atomic
def register(paths: Iterable[str]) -> list[ModelFile]:
    """The rows of files, whose paths are written as below MODELS_ROOT. Creates missing rows.

    New rows are marked as missing below MODELS_ROOT; jobs on this runner may still use them.
    """
    rows = []
    known = _KnownFiles()
    for path in sorted(set(paths))[:MAX_FILES]:
        folder, _slash, rest = path.partition("/")
        kind = KINDS.get(folder)
        if kind is None or not rest or len(path) > MAX_PATH_LENGTH or not path.isprintable():
            continue
        row = known.find(kind, path)
        if row is None:
            row = ModelFile(
                kind=kind,
                path=path,
                name=PurePosixPath(path).stem[:MAX_NAME_LENGTH],
                missing_since=timezone.now(),
            )
            row.name = free_name(row)
            row.save()
        rows.append(row)
    return rows


class _KnownFiles:
    """Finds a file by its path, or by its name without extension if only one file of the kind has it."""

    def __init__(self) -> None:
        self._paths: dict[str, ModelFile] = {}
        self._stems: dict[tuple[str, str], list[ModelFile]] = defaultdict(list)
        for file in ModelFile.objects.defer("metadata"):
            self._paths[file.path] = file
            self._stems[file.kind, PurePosixPath(file.path).stem].append(file)

    def find(self, kind: str, path: str) -> ModelFile | None:
        same = self._stems[kind, PurePosixPath(path).stem]
        return self._paths.get(path) or (same[0] if len(same) == 1 else None)
