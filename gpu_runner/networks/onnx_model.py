"""ONNX networks, run by onnxruntime on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.onnx_header import read_onnx_header
from gpu_runner.protocol.model_detection.onnx_models import identify_onnx

MOST_THREADS = 4


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
