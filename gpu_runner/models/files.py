"""Model files on disk: path resolution below the models root, SHA-256 verification, tensor reading.

Pickles are loaded with ``weights_only=True``, so no code in them is executed.
"""

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

from gpu_runner.models.gguf.source import GgufSource
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.pickled_tensors import (
    PICKLED_SUFFIXES,
    PickledObject,
    named_tensors,
    named_texts,
)
from gpu_runner.protocol.model_detection.safetensors_header import header_of
from gpu_runner.protocol.model_detection.storage.gguf_header import GGUF_SUFFIX, read_gguf_header
from gpu_runner.protocol.model_detection.storage.tensor_header import TensorHeader


def locate(root: Path, file: ModelFile) -> Path:
    """Resolve symlinks and return the real path of the file.

    Raises ModelUnavailable if it is missing, not a regular file, or outside ``root``.
    """
    try:
        base = root.resolve(strict=True)
        path = (base / file.path).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: symlink loop
        raise ModelUnavailable(f"{file.path} is missing") from error
    if not path.is_relative_to(base) or not path.is_file():
        raise ModelUnavailable(f"{file.path} must be a file inside the models folder")
    return path


def model_file(root: Path, path: str) -> ModelFile:
    """The file at this path below ``root``, with its SHA-256. Raises ModelUnavailable."""
    try:
        with locate(root, ModelFile(path=path, sha256="0" * 64)).open("rb") as file:
            return ModelFile(path=path, sha256=hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise ModelUnavailable(f"{path} cannot be read") from error


class FileHashCache:
    """SHA-256 cache of files, keyed by path, modification time and size."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[Path, int, int], str] = {}
        self._lock = Lock()

    def check(self, path: Path, file: ModelFile) -> None:
        """Raises ModelUnavailable if the file is unreadable or its SHA-256 differs."""
        try:
            actual = self._sha256(path)
        except OSError as error:
            raise ModelUnavailable(f"{file.path} cannot be read") from error
        if actual != file.sha256:
            raise ModelUnavailable(f"{file.path} has changed: its SHA-256 differs from the registered one")

    def _sha256(self, path: Path) -> str:
        stat = path.stat()
        version = (path, stat.st_mtime_ns, stat.st_size)
        with self._lock:
            if version not in self._hashes:
                with path.open("rb") as file:
                    self._hashes[version] = hashlib.file_digest(file, "sha256").hexdigest()
            return self._hashes[version]


@contextmanager
def open_tensors(path: Path, name: str) -> Iterator[TensorFile]:
    """Open a safetensors, GGUF or pickle file for reading. Raises ModelUnavailable, with ``name`` in the message.

    The tensors are views of the file: copy them before the context manager exits.
    """
    if path.suffix.lower() in PICKLED_SUFFIXES:
        yield _unpickled(path, name)
        return
    try:
        if path.suffix.lower() == GGUF_SUFFIX:
            found = read_gguf_header(path)
            _must_be_readable(found.header, name)
            with path.open("rb") as stream:
                source = GgufSource(stream, found.tensors)
                yield TensorFile(found.header.shapes, found.header.metadata, source)
            return
        with safe_open(path, framework="pt", device="cpu") as source:
            header = header_of(source)
            _must_be_readable(header, name)
            yield TensorFile(header.shapes, header.metadata, source, header.scales)
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelUnavailable(f"{name} cannot be used: {error}") from error


def _must_be_readable(header: TensorHeader, name: str) -> None:
    if header.problem:
        raise ModelUnavailable(f"{name} cannot be used: {header.problem}")


PLACEHOLDER_CLASSES = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "torch.nn.modules.container.ParameterDict",
)


def _unpickled(path: Path, name: str) -> TensorFile:
    try:
        with torch.serialization.safe_globals(
            [(PickledObject, class_name) for class_name in PLACEHOLDER_CLASSES]
        ):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise ModelUnavailable(f"{name} is damaged, or contains objects other than tensors") from error
    if not isinstance(content, dict):
        raise ModelUnavailable(f"{name} does not contain a dictionary of tensors")
    tensors = dict(named_tensors(content, Tensor))
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    return TensorFile(shapes, named_texts(content), tensors)
