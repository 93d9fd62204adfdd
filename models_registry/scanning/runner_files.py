"""Model files that a runner has for itself: known ones are recognised, others get rows of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from django.db import transaction
from django.utils import timezone

from models_registry.models import FOLDERS, Kind, ModelFile

from .scan import LONGEST_NAME, free_name

MOST = 20_000
KINDS = {
    FOLDERS[kind]: kind
    for kind in (Kind.CHECKPOINT, Kind.LORA, Kind.VAE, Kind.CONTROLNET, Kind.EMBEDDING, Kind.UPSCALER)
}


@transaction.atomic
def register(paths: Iterable[str]) -> list[ModelFile]:
    """The rows of files that are named as below MODELS_ROOT. One that is not there is missing, and may still be drawn with."""
    found = []
    known = _Known()
    for path in sorted(set(paths))[:MOST]:
        folder, _slash, rest = path.partition("/")
        kind = KINDS.get(folder)
        if kind is None or not rest or len(path) > 500 or not path.isprintable():
            continue
        row = known.find(kind, path)
        if row is None:
            row = ModelFile(
                kind=kind,
                path=path,
                name=PurePosixPath(path).stem[:LONGEST_NAME],
                missing_since=timezone.now(),
            )
            row.name = free_name(row)
            row.save()
        found.append(row)
    return found


class _Known:
    """By path, and by the file's stem where only one file of the kind has it."""

    def __init__(self) -> None:
        self._paths: dict[str, ModelFile] = {}
        self._stems: dict[tuple[str, str], list[ModelFile]] = defaultdict(list)
        for file in ModelFile.objects.defer("metadata"):
            self._paths[file.path] = file
            self._stems[file.kind, PurePosixPath(file.path).stem].append(file)

    def find(self, kind: str, path: str) -> ModelFile | None:
        same = self._stems[kind, PurePosixPath(path).stem]
        return self._paths.get(path) or (same[0] if len(same) == 1 else None)
