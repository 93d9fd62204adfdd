"""Headers of GGUF files, which are untrusted input."""

import random
import struct
from contextlib import suppress

import pytest
import torch
from transformers import Qwen3Config, Qwen3Model, T5Config, T5EncoderModel

from demo.flow_matching.original_layout import original_layout
from gpu_runner.protocol.model_detection.safetensors_models import identify
from gpu_runner.protocol.model_detection.storage.gguf_header import read_gguf_header
from gpu_runner.protocol.model_detection.storage.gguf_names import DECODER, T5
from gpu_runner.protocol.model_detection.usability import inspect
from tests.support.gguf_files import write_gguf
from tests.support.transformer_files import tiny


@pytest.fixture
def file(tmp_path):
    tensors = {"a.weight": torch.randn(4, 64), "b": torch.randn(3)}
    return write_gguf(tmp_path / "x.gguf", tensors, {"general.architecture": "sd1", "shape": (1, 2)})


def test_a_file_that_is_cut_off_is_an_error_wherever_it_ends(file):
    data = file.read_bytes()
    for end in range(4, len(data)):
        file.write_bytes(data[:end])
        with pytest.raises(ValueError, match="cut off"):
            read_gguf_header(file)


def test_damaged_files_raise_only_value_error(file):
    data = file.read_bytes()
    chance = random.Random(1)
    for _ in range(500):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(200)] = chance.choice([0, 1, 8, 9, 127, 255, chance.randrange(256)])
        file.write_bytes(damaged)
        with suppress(ValueError):
            inspect(read_gguf_header(file).header.shapes)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"NOPE", "not a GGUF file"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**40, 0), "at most 100000 tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40), "metadata entries"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60), "at most 1048576 bytes"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 8, 2**62), "cut off"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 9, 1), "metadata array"),
        (b"GGUF" + struct.pack("<IQQQ17sII", 3, 0, 1, 17, b"general.alignment", 4, 3), "power of two"),
    ],
)
def test_sizes_that_no_model_has_are_refused_without_reading_on(file, head, reason):
    file.write_bytes(head + bytes(64))
    with pytest.raises(ValueError, match=reason):
        read_gguf_header(file)


@pytest.mark.parametrize("family", ["sd3", "z_image", "flux1", "chroma", "flux2", "qwen_image"])
def test_a_transformer_is_recognized_by_its_tensors(tmp_path, family):
    state = tiny(family).state_dict()
    tensors = state if family == "qwen_image" else original_layout(family, state)
    header = read_gguf_header(write_gguf(tmp_path / "x.gguf", tensors)).header
    assert (identify(header.shapes).kind, identify(header.shapes).family) == ("checkpoint", family)


def test_a_unet_alone_is_one_without_text_encoder(tmp_path):
    names = {
        "input_blocks.0.0.weight": torch.zeros(32, 4, 3, 3),
        "middle_block.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(32, 768),
    }
    found = inspect(read_gguf_header(write_gguf(tmp_path / "x.gguf", names)).header.shapes)
    assert (found.kind, found.family) == ("checkpoint", "sd15")
    assert found.detail["without_text"]
    assert "text encoder" not in found.problem


def in_llama_names(state, table):
    """Tensors of transformers in the names of llama.cpp."""
    result = {}
    for name, tensor in state.items():
        stem, _dot, ending = name.rpartition(".")
        for old, new in table:
            if new.startswith(".") and stem.endswith(new):
                stem = stem.removesuffix(new) + old
            elif new.endswith(".") and stem.startswith(new):
                stem = old + stem.removeprefix(new)
            elif stem == new:
                stem = old
        result[f"{stem}.{ending}"] = tensor
    return result


def test_text_encoders_are_read_under_the_names_of_transformers(tmp_path):
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "vocab_size": 40}
    t5 = T5EncoderModel(T5Config(**sizes, feed_forward_proj="gated-gelu")).state_dict()
    t5.pop("encoder.embed_tokens.weight", None)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    qwen = Qwen3Model(Qwen3Config(**sizes, num_key_value_heads=1, head_dim=16, vocab_size=40)).state_dict()
    qwen = {f"model.{name}": tensor for name, tensor in qwen.items()}
    for kind, state, table in (("t5_xxl", t5, T5), ("qwen3_4b", qwen, DECODER)):
        file = in_llama_names(state, table)
        assert "blk.0.attn_q.weight" in " ".join(file)
        header = read_gguf_header(write_gguf(tmp_path / f"{kind}.gguf", file)).header
        assert header.shapes == {name: tuple(tensor.shape) for name, tensor in state.items()}
        assert identify(header.shapes).detail["encoder"] == kind
