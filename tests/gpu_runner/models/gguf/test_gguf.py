"""GGUF files: decoding of blocks, and images of checkpoints."""

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gpu_runner.models.files import open_tensors
from gpu_runner.models.gguf.dequantize import DECODERS, dequantize
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.safetensors_header import read_safetensors_header
from gpu_runner.protocol.model_detection.storage.gguf_types import TYPES
from tests.support.demo_engine import DEMO_CHECKPOINT, DEMO_MODELS, Studio, demo_checkpoint
from tests.support.gguf_files import write_gguf

# Two random blocks of each type, and their numbers as version 0.19 of the package gguf decodes them.
REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text())
SIZES = {kind.name: kind.size for kind in TYPES.values()}


@pytest.mark.parametrize("name", DECODERS)
def test_blocks_are_decoded_as_by_the_reference_implementation(name):
    data, numbers = (base64.b64decode(REFERENCE[name][key]) for key in ("blocks", "numbers"))
    blocks = torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(2, SIZES[name])
    wanted = np.frombuffer(numbers, dtype="<f4").reshape(2, -1)
    assert np.array_equal(dequantize(blocks, name).numpy(), wanted)


def test_tensors_are_read_with_their_shapes(tmp_path):
    tensors = {
        "a.weight": torch.randn(4, 64),
        "b": torch.randn(3),
        "c": torch.randn(2, 2, 3, 3),
        "none": torch.empty(0),
    }
    flat = tensors | {"d.weight": torch.randn(2, 96)}
    path = write_gguf(tmp_path / "x.gguf", flat, {"comfy.gguf.orig_shape.d.weight": (2, 32, 3, 1)})
    with open_tensors(path, "x") as file:
        assert file.shapes["d.weight"] == (2, 32, 3, 1)
        for name, tensor in tensors.items():
            assert file[name].shape == tensor.shape
            assert torch.allclose(file[name].float(), tensor, atol=0.02)


def test_a_file_of_a_type_that_is_not_decoded_cannot_be_loaded(tmp_path):
    path = write_gguf(tmp_path / "x.gguf", {"a.weight": torch.randn(4, 64)})
    data = path.read_bytes()
    info = data.index(b"a.weight") + len(b"a.weight") + 4 + 16
    path.write_bytes(data[:info] + (23).to_bytes(4, "little") + data[info + 4 :])
    with pytest.raises(ModelUnavailable, match="x cannot be used: its weights are quantized to IQ4_XS"):
        open_tensors(path, "x").__enter__()


@pytest.mark.slow
def test_checkpoint_in_q8_0_draws_the_image_of_the_original_within_the_quantization_error(tmp_path):
    tensors = load_file(DEMO_MODELS / DEMO_CHECKPOINT)
    metadata = read_safetensors_header(DEMO_MODELS / DEMO_CHECKPOINT)[1]
    path = write_gguf(tmp_path / "demo.gguf", tensors, metadata)
    file = ModelFile(path="demo.gguf", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    images = []
    for root, checkpoint in ((DEMO_MODELS, demo_checkpoint()), (tmp_path, file)):
        studio = Studio(root, checkpoint)
        words = {"prompt": "a red circle on a blue background", "seed": 3, "num_inference_steps": 8}
        images.append(np.asarray(studio.draw(**words, width=128, height=128), dtype=float))
        studio.close()
    assert 0 < np.abs(images[0] - images[1]).mean() < 2
