"""Model files on disk: found below the root only, checked against their hash, read without running anything in them."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.pickled_tensors import PickledObject, named_tensors, named_texts
from gpu_runner.protocol.model_detection.safetensors_header import described

PICKLED = {".ckpt", ".pt", ".pth"}


def locate(root: Path, file: ModelFile) -> Path:
    """The real path of the file, links followed; never one outside the root."""
    try:
        base = root.resolve(strict=True)
        path = (base / file.path).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise ModelUnavailable(f"{file.path} is missing") from error
    if not path.is_relative_to(base) or not path.is_file():
        raise ModelUnavailable(f"{file.path} is not a file inside the models folder")
    return path


class FileHashCache:
    """Hashes of files, computed once for each state of a file."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[Path, int, int], str] = {}
        self._lock = Lock()

    def check(self, path: Path, file: ModelFile) -> None:
        try:
            found = self._sha256(path)
        except OSError as error:
            raise ModelUnavailable(f"{file.path} cannot be read") from error
        if found != file.sha256:
            raise ModelUnavailable(f"{file.path} has changed: its SHA-256 is not the registered one")

    def _sha256(self, path: Path) -> str:
        stat = path.stat()
        state = (path, stat.st_mtime_ns, stat.st_size)
        with self._lock:
            if state not in self._hashes:
                with path.open("rb") as file:
                    self._hashes[state] = hashlib.file_digest(file, "sha256").hexdigest()
            return self._hashes[state]


@contextmanager
def open_tensors(path: Path, name: str) -> Iterator[TensorFile]:
    """Tensors must be copied before the file closes: they are views of it. ``name`` is for messages."""
    if path.suffix.lower() in PICKLED:
        yield _unpickled(path, name)
        return
    try:
        with safe_open(path, framework="pt", device="cpu") as source:
            yield TensorFile(*described(source), source)
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelUnavailable(f"{name} cannot be used: {error}") from error


STANDING_FOR = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "torch.nn.modules.container.ParameterDict",
)


def _unpickled(path: Path, name: str) -> TensorFile:
    try:
        with torch.serialization.safe_globals([(PickledObject, known) for known in STANDING_FOR]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise ModelUnavailable(f"{name} is damaged, or holds more than tensors") from error
    if not isinstance(content, dict):
        raise ModelUnavailable(f"{name} holds no table of tensors")
    tensors = dict(named_tensors(content, Tensor))
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    return TensorFile(shapes, named_texts(content), tensors)
