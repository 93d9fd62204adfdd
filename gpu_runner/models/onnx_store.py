"""LRU cache of ONNX models that run on the CPU: matting, NSFW detection, face and object detection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cachetools import LRUCache

from gpu_runner.imaging.face_detection import FaceDetector
from gpu_runner.networks.onnx_model import OnnxModel, identify_graph, unavailable_if_broken
from gpu_runner.protocol import ModelFile

from .files import FileHashCache, locate

MAX_MODELS = 4

Model = TypeVar("Model")


def load_face_detector(path: Path, file: ModelFile) -> FaceDetector:
    """Load a face detector. Raises ModelUnavailable if the file is not one."""
    with unavailable_if_broken(file):
        _header, detail = identify_graph(path, file, "face_detector")
        return FaceDetector(path, detail["width"], detail["height"])


class OnnxStore:
    """LRU cache of at most MAX_MODELS ONNX models. The getters raise ModelUnavailable."""

    def __init__(self, root: Path, hashes: FileHashCache) -> None:
        self._root = root
        self._hashes = hashes
        self._models: LRUCache[tuple[str, str], Any] = LRUCache(MAX_MODELS)
        self._lock = threading.Lock()

    def get(self, file: ModelFile, kind: str) -> OnnxModel:
        """Return a model of ``kind`` ``matting``, ``nsfw`` or ``detector``, loading it if necessary."""
        return self._model(file, kind, lambda path: OnnxModel(path, file, kind))

    def face_detector(self, file: ModelFile) -> FaceDetector:
        return self._model(file, "face_detector", lambda path: load_face_detector(path, file))

    def clear(self) -> None:
        with self._lock:
            self._models.clear()

    def _model(self, file: ModelFile, kind: str, load: Callable[[Path], Model]) -> Model:
        with self._lock:
            model: Model | None = self._models.get((kind, file.sha256))
            if model is None:
                path = locate(self._root, file)
                self._hashes.check(path, file)
                model = self._models[kind, file.sha256] = load(path)
            return model
