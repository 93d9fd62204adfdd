"""Finds candidate model files below MODELS_ROOT."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gpu_runner.protocol.model_detection.pickled_tensors import PICKLED_SUFFIXES

SUFFIXES = {".safetensors", ".gguf", ".onnx", *PICKLED_SUFFIXES}
# Formats of weights that no runner reads. The files are registered with the reason, so that they can be seen.
UNREADABLE_SUFFIXES = {
    ".ggml",
    ".msgpack",
    ".h5",
    ".pkl",
    ".pickle",
    ".npz",
    ".pb",
    ".tflite",
    ".engine",
}
MAX_PATH_LENGTH = 500  # max_length of ModelFile.path


def model_files(root: Path) -> Iterator[str]:
    """Sorted paths relative to ``root``, with forward slashes.

    Leaves out hidden files, unfinished downloads, files with other suffixes, and links that lead out of ``root``.
    Raises FileNotFoundError if ``root`` does not exist.
    """
    for folder, folders, names in os.walk(root.resolve(strict=True)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if _may_be_a_model(path, set(names)) and path.resolve().is_relative_to(root.resolve()):
                yield path.relative_to(root.resolve()).as_posix()


def _may_be_a_model(path: Path, siblings: set[str]) -> bool:
    hidden = path.name.startswith(".")
    # aria2 downloads under the final name, beside a control file.
    unfinished = path.name + ".aria2" in siblings
    return (
        path.suffix.lower() in SUFFIXES | UNREADABLE_SUFFIXES
        and not hidden
        and not unfinished
        and path.is_file()
    )


def path_problem(path: str) -> str:
    """Why a path can neither be stored in the registry nor sent to a runner; empty if it can."""
    if "\\" in path or not path.isprintable():
        return "backslash, control character or broken encoding in the path"
    return "path too long" if len(path) > MAX_PATH_LENGTH else ""
