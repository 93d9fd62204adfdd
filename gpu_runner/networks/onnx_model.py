"""ONNX networks, run by onnxruntime on the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.onnx_header import OnnxHeader, read_onnx_header
from gpu_runner.protocol.model_detection.onnx_models import identify_onnx

MAX_THREADS = 4


Array = NDArray[np.float32]


class OnnxModel:
    """A session of onnxruntime. ``detail`` is what the graph's identification found out."""

    def __init__(self, path: Path, file: ModelFile, kind: str) -> None:
        """Raises ModelUnavailable for a file that is no model of the kind."""
        with unavailable_if_broken(file):
            self.header, self.detail = identify_graph(path, file, kind)
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
    options.intra_op_num_threads = max(1, min(MAX_THREADS, (os.cpu_count() or 1) // 2))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads wait, not burn
    options.log_severity_level = 3
    return options


def identify_graph(path: Path, file: ModelFile, kind: str) -> tuple[OnnxHeader, Mapping[str, Any]]:
    """The header of an ONNX file and what its identification found out. Raises ModelUnavailable for another kind."""
    header = read_onnx_header(path)
    identified = identify_onnx(header)
    if identified.kind != kind:
        raise ModelUnavailable(f"{file.path} is not a model of the kind {kind}")
    return header, identified.detail


@contextmanager
def unavailable_if_broken(file: ModelFile) -> Iterator[None]:
    """Turns the errors of onnxruntime and OpenCV into ModelUnavailable."""
    try:
        yield
    except ModelUnavailable:
        raise
    except Exception as error:  # onnxruntime and OpenCV raise their own kinds, and plain RuntimeErrors
        raise ModelUnavailable(f"{file.path} cannot be used as an ONNX model") from error
