"""Which files below MODELS_ROOT may be models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = {".safetensors", ".ckpt", ".pt", ".pth", ".onnx"}
LONGEST_PATH = 500  # what models.ModelFile.path holds


def model_files(root: Path) -> Iterator[str]:
    """Relative paths, sorted, with forward slashes. Hidden, unfinished and foreign files are left out."""
    for folder, folders, names in os.walk(root.resolve(strict=True)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if _may_be_a_model(path, set(names)) and path.resolve().is_relative_to(root.resolve()):
                yield path.relative_to(root.resolve()).as_posix()


def _may_be_a_model(path: Path, siblings: set[str]) -> bool:
    hidden = path.name.startswith(".")
    unfinished = path.name + ".aria2" in siblings  # aria2 gives a download its last name from the start
    return path.suffix.lower() in SUFFIXES and not hidden and not unfinished and path.is_file()


def why_not_storable(path: str) -> str:
    """Why a path can neither be kept in the registry nor sent to a runner; empty when it can."""
    if "\\" in path or not path.isprintable():
        return "backslash, control character or broken encoding in the path"
    return "path too long" if len(path) > LONGEST_PATH else ""
