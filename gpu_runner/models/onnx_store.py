"""Small networks beside the diffusion ones, in onnxruntime. They stay on the CPU, so that the device is left to the steps."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from gpu_runner.networks.onnx_model import OnnxModel
from gpu_runner.protocol import ModelFile

from .files import FileHashCache, locate

MOST_HELD = 4


class OnnxStore:
    """The models in use; of more than a few, the one that rested longest goes."""

    def __init__(self, root: Path, hashes: FileHashCache) -> None:
        self._root = root
        self._hashes = hashes
        self._held: OrderedDict[str, OnnxModel] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, file: ModelFile, kind: str) -> OnnxModel:
        """Raises ModelUnavailable."""
        with self._lock:
            model = self._held.get(file.sha256) or self._load(file, kind)
            self._held[file.sha256] = model
            self._held.move_to_end(file.sha256)
            while len(self._held) > MOST_HELD:
                self._held.popitem(last=False)
            return model

    def clear(self) -> None:
        with self._lock:
            self._held.clear()

    def _load(self, file: ModelFile, kind: str) -> OnnxModel:
        path = locate(self._root, file)
        self._hashes.check(path, file)
        return OnnxModel(path, file, kind)
