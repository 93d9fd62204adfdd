"""Small networks beside the diffusion ones, in onnxruntime. They stay on the CPU, so that the device is left to the steps."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from cachetools import LRUCache
from numpy.typing import NDArray

from gpu_runner.model_files import HashBook, ModelUnavailable, locate
from gpu_runner.onnx_families import identify_onnx
from gpu_runner.onnx_header import read_onnx_header
from gpu_runner.protocol import ModelFile

MOST_THREADS = 4
MOST_HELD = 4

Array = NDArray[np.float32]


class OnnxModel:
    """``detail`` is what the graph told about itself when it was identified."""

    def __init__(self, path: Path, file: ModelFile, kind: str) -> None:
        try:
            self.header = read_onnx_header(path)
            identified = identify_onnx(self.header)
            if identified.kind != kind:
                raise ModelUnavailable(f"{file.path} is not a model of the kind {kind}")
            self._session = onnxruntime.InferenceSession(
                str(path), _options(), providers=["CPUExecutionProvider"]
            )
        except ModelUnavailable:
            raise
        except Exception as error:  # onnxruntime raises its own kinds, and plain RuntimeErrors
            raise ModelUnavailable(f"{file.path} cannot be used as an ONNX model") from error
        self.key = file.sha256
        self.detail = identified.detail

    def run(self, pixels: Array) -> Array:
        """The first output for a batch."""
        [name, *_others] = self.header.inputs
        return self._session.run([next(iter(self.header.outputs))], {name: pixels})[0]

    def answers(self, pixels: Array) -> dict[str, Array]:
        """Every output for a batch, by its name."""
        [name, *_others] = self.header.inputs
        return dict(
            zip(self.header.outputs, self._session.run([*self.header.outputs], {name: pixels}), strict=True)
        )


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, min(MOST_THREADS, (os.cpu_count() or 1) // 2))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads wait, not burn
    options.log_severity_level = 3
    return options


class OnnxShelf:
    """The least recently used of more than MOST_HELD models is dropped."""

    def __init__(self, root: Path, hashes: HashBook) -> None:
        self._root = root
        self._hashes = hashes
        self._held: LRUCache[str, OnnxModel] = LRUCache(MOST_HELD)
        self._lock = threading.Lock()

    def get(self, file: ModelFile, kind: str) -> OnnxModel:
        """Raises ModelUnavailable."""
        with self._lock:
            model = self._held.get(file.sha256) or self._load(file, kind)
            self._held[file.sha256] = model
            return model

    def clear(self) -> None:
        with self._lock:
            self._held.clear()

    def _load(self, file: ModelFile, kind: str) -> OnnxModel:
        path = locate(self._root, file)
        self._hashes.check(path, file)
        return OnnxModel(path, file, kind)
