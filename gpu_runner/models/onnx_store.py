"""LRU cache of ONNX models that run on the CPU: matting, NSFW, face, object and text detection, tagging."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cachetools import LRUCache

from gpu_runner.imaging.face_detection import FaceDetector
from gpu_runner.imaging.tagging import Tagger
from gpu_runner.networks.onnx_model import OnnxModel, identify_graph, unavailable_if_broken
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.tag_table import table_for

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
        """Return a model of ``kind`` ``matting``, ``nsfw``, ``detector`` or ``text_detector``, loading it if necessary."""
        return self._model(file, kind, lambda path: OnnxModel(path, file, kind))

    def face_detector(self, file: ModelFile) -> FaceDetector:
        return self._model(file, "face_detector", lambda path: load_face_detector(path, file))

    def tagger(self, file: ModelFile) -> Tagger:
        return self._model(file, "tagger", lambda path: self._load_tagger(path, file))

    def _load_tagger(self, path: Path, file: ModelFile) -> Tagger:
        """Load a tagger and the tag table beside it, which is not found by its resolved path if that is a link."""
        model = OnnxModel(path, file, "tagger")
        try:
            return Tagger(model, table_for(self._root / file.path, model.detail["tags"]))
        except (OSError, ValueError) as error:
            raise ModelUnavailable(f"{file.path} cannot be used: {error}") from error

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
