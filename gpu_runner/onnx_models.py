"""Small networks in ONNX files, run on the CPU: matting models, NSFW detectors and face detectors."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime
from cachetools import LRUCache
from numpy.typing import NDArray

from gpu_runner.face_detection import FaceDetector
from gpu_runner.model_files import HashBook, ModelUnavailable, locate
from gpu_runner.onnx_families import identify_onnx
from gpu_runner.onnx_header import OnnxHeader, read_onnx_header
from gpu_runner.protocol import ModelFile

MOST_THREADS = 4
MOST_HELD = 4

Array = NDArray[np.float32]
Model = TypeVar("Model")


class OnnxModel:
    """A session of onnxruntime. ``detail`` is what the graph's identification found out."""

    def __init__(self, path: Path, file: ModelFile, kind: str) -> None:
        """Raises ModelUnavailable for a file that is no model of the kind."""
        with _unavailable_if_broken(file):
            self.header, self.detail = _identified(path, file, kind)
            self._session = onnxruntime.InferenceSession(
                str(path), _options(), providers=["CPUExecutionProvider"]
            )
        self.key = file.sha256

    def run(self, pixels: Array) -> Array:
        """The first output for a batch."""
        [name, *_others] = self.header.inputs
        return self._session.run([next(iter(self.header.outputs))], {name: pixels})[0]


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, min(MOST_THREADS, (os.cpu_count() or 1) // 2))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads wait, not burn
    options.log_severity_level = 3
    return options


def load_face_detector(path: Path, file: ModelFile) -> FaceDetector:
    """Raises ModelUnavailable for a file that is no face detector."""
    with _unavailable_if_broken(file):
        _header, detail = _identified(path, file, "face_detector")
        return FaceDetector(path, detail["width"], detail["height"])


def _identified(path: Path, file: ModelFile, kind: str) -> tuple[OnnxHeader, Mapping[str, Any]]:
    header = read_onnx_header(path)
    identified = identify_onnx(header)
    if identified.kind != kind:
        raise ModelUnavailable(f"{file.path} is not a model of the kind {kind}")
    return header, identified.detail


@contextmanager
def _unavailable_if_broken(file: ModelFile) -> Iterator[None]:
    try:
        yield
    except ModelUnavailable:
        raise
    except Exception as error:  # onnxruntime and OpenCV raise their own kinds, and plain RuntimeErrors
        raise ModelUnavailable(f"{file.path} cannot be used as an ONNX model") from error


class OnnxShelf:
    """Loads ONNX models and keeps the MOST_HELD that were used last. Its getters raise ModelUnavailable."""

    def __init__(self, root: Path, hashes: HashBook) -> None:
        self._root = root
        self._hashes = hashes
        self._held: LRUCache[tuple[str, str], Any] = LRUCache(MOST_HELD)
        self._lock = threading.Lock()

    def get(self, file: ModelFile, kind: str) -> OnnxModel:
        """A matting model or an NSFW detector."""
        return self._model(file, kind, lambda path: OnnxModel(path, file, kind))

    def face_detector(self, file: ModelFile) -> FaceDetector:
        return self._model(file, "face_detector", lambda path: load_face_detector(path, file))

    def clear(self) -> None:
        with self._lock:
            self._held.clear()

    def _model(self, file: ModelFile, kind: str, load: Callable[[Path], Model]) -> Model:
        with self._lock:
            model: Model | None = self._held.get((kind, file.sha256))
            if model is None:
                path = locate(self._root, file)
                self._hashes.check(path, file)
                model = self._held[kind, file.sha256] = load(path)
            return model
