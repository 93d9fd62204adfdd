"""Object detectors in YOLO's layout that find red things, as ONNX files that Ultralytics could have exported."""

from __future__ import annotations

import io
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.onnx._internal.torchscript_exporter import onnx_proto_utils

from gpu_runner.protocol.model_detection.onnx_models import anchors
from tests.support.onnx_files import message

SIDE = 128
NAMES = "{0: 'square', 1: 'red thing'}"


class RedThings(nn.Module):
    """One object of class 1: the box around all red pixels of the left half, and another one of the right half."""

    def __init__(self, segments: bool) -> None:
        super().__init__()
        self.segments = segments

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        red = (image[:, :1] - image[:, 1:].amax(dim=1, keepdim=True) > 0.5).float()
        columns = torch.arange(SIDE, dtype=torch.float32).view(1, 1, 1, SIDE)
        rows = torch.arange(SIDE, dtype=torch.float32).view(1, 1, SIDE, 1)
        is_left = (columns < SIDE / 2).float()
        halves = (red * is_left, red * (1 - is_left))
        objects = torch.cat([self._object(half, columns, rows) for half in halves], dim=2)
        count = objects.shape[1]
        rest = torch.zeros(1, count, anchors(SIDE, SIDE) - 2)
        output = torch.cat([objects, rest], dim=2)
        if not self.segments:
            return (output,)
        small = functional.max_pool2d(red, 4) * 2 - 1
        return output, torch.cat([small, torch.zeros(1, 31, SIDE // 4, SIDE // 4)], dim=1)

    def _object(self, half: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
        right, bottom = (half * (columns + 1)).amax().view(1), (half * (rows + 1)).amax().view(1)
        left, top = (
            SIDE - (half * (SIDE - columns)).amax().view(1),
            SIDE - (half * (SIDE - rows)).amax().view(1),
        )
        score = half.amax().view(1) * 0.9 - 0.1 * (left > SIDE / 2).float()
        parts = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top, score * 0, score]
        if self.segments:
            parts += [torch.ones(1), torch.zeros(31)]
        return torch.cat(parts).view(1, -1, 1)


def red_detector(*, segments: bool = False) -> bytes:
    """An ONNX file of 128 x 128 input pixels, with Ultralytics' metadata."""
    file = io.BytesIO()
    names = ["output0", "output1"] if segments else ["output0"]
    # The exporter needs the package onnx only to add functions in ONNX Script, of which there are none.
    with patch.object(onnx_proto_utils, "_add_onnxscript_fn", lambda data, custom_opsets: data):
        torch.onnx.export(
            RedThings(segments),
            (torch.rand(1, 3, SIDE, SIDE),),
            file,
            input_names=["images"],
            output_names=names,
            dynamo=False,
            opset_version=13,
        )
    entries = {"task": "segment" if segments else "detect", "names": NAMES}
    metadata = b"".join(message(14, message(1, key) + message(2, text)) for key, text in entries.items())
    return file.getvalue() + metadata
