"""ONNX models, executed by onnxruntime on the CPU."""

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
    """An onnxruntime session. ``detail`` holds the properties found when the graph was identified."""

    def __init__(self, path: Path, file: ModelFile, kind: str) -> None:
        """Load the file. Raises ModelUnavailable if it is not a valid model of this kind."""
        with unavailable_if_broken(file):
            self.header, self.detail = identify_graph(path, file, kind)
            self._session = onnxruntime.InferenceSession(
                str(path), _options(), providers=["CPUExecutionProvider"]
            )
        self.key = file.sha256

    def run(self, pixels: Array) -> Array:
        """Run the model on a batch and return its first output."""
        return self.outputs(pixels, 1)[0]

    def outputs(self, pixels: Array, count: int) -> list[Array]:
        """Run the model on a batch and return its first outputs."""
        [name, *_others] = self.header.inputs
        return list(self._session.run(list(self.header.outputs)[:count], {name: pixels}))


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, min(MAX_THREADS, (os.cpu_count() or 1) // 2))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # no busy waiting
    options.log_severity_level = 3
    return options


def identify_graph(path: Path, file: ModelFile, kind: str) -> tuple[OnnxHeader, Mapping[str, Any]]:
    """Read and identify an ONNX file: its header and detected properties.

    Raises ModelUnavailable if the model is of another kind.
    """
    header = read_onnx_header(path)
    identified = identify_onnx(header)
    if identified.kind != kind:
        raise ModelUnavailable(f"{file.path} is not a model of the kind {kind}")
    return header, identified.detail


@contextmanager
def unavailable_if_broken(file: ModelFile) -> Iterator[None]:
    """Context manager that converts errors of onnxruntime and OpenCV to ModelUnavailable."""
    try:
        yield
    except ModelUnavailable:
        raise
    except Exception as error:  # onnxruntime and OpenCV raise RuntimeError and types of their own
        raise ModelUnavailable(f"{file.path} cannot be used as an ONNX model") from error
