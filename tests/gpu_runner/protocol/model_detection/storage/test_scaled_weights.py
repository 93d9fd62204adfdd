"""Which quantized weights are decoded, and how the others are named."""

import json

import pytest
import torch
from safetensors.torch import save_file

from gpu_runner.protocol.model_detection.safetensors_header import read_header

WEIGHT = {"layer.weight": torch.zeros(4, 8).to(torch.float8_e4m3fn)}
SCALE = torch.ones(())


def header(tmp_path, tensors, **metadata):
    save_file(
        {name: tensor.clone() for name, tensor in tensors.items()}, tmp_path / "x.safetensors", metadata
    )
    return read_header(tmp_path / "x.safetensors")


def layer_format(name):
    return torch.tensor(list(json.dumps({"format": name}).encode()), dtype=torch.uint8)


@pytest.mark.parametrize(
    "beside",
    [
        {"layer.scale_weight": SCALE, "layer.scale_input": SCALE, "scaled_fp8": torch.zeros(2)},
        {"layer.weight_scale": SCALE.reshape(1), "layer.comfy_quant": layer_format("float8_e4m3fn")},
        {"layer.weight_scale": torch.ones(4, 1), "layer.input_scale": SCALE},
    ],
    ids=["marker", "comfy_quant", "by output"],
)
def test_scales_are_no_tensors_of_the_model(tmp_path, beside):
    found = header(tmp_path, WEIGHT | beside)
    assert (found.shapes, found.problem) == ({"layer.weight": (4, 8)}, "")
    assert found.scales["layer.weight"] in beside


@pytest.mark.parametrize(
    ("beside", "named"),
    [
        ({"layer.comfy_quant": layer_format("nvfp4")}, "nvfp4"),
        ({"layer.comfy_quant": layer_format("int8_tensorwise")}, "int8_tensorwise"),
        ({"layer.weight_scale": torch.ones(4, 1, dtype=torch.uint8)}, "mxfp8"),
        ({"layer.weight_scale": torch.ones(2, 4)}, "by block"),
        ({"layer.weight_scale": SCALE, "layer.weight_scale_2": SCALE}, "nvfp4"),
        ({"layer.weight_scale_inv": torch.ones(1, 1)}, "by block"),
        ({"layer.weight.quant_state.bitsandbytes__nf4": torch.zeros(9, dtype=torch.uint8)}, "nf4"),
        ({"layer.SCB": torch.ones(4)}, "int8"),
        ({"other.weight": torch.zeros(4, 4, dtype=torch.int8)}, "int8"),
        ({"layer.qweight": torch.zeros(4, 4, dtype=torch.int8), "layer.wscales": SCALE}, "SVDQuant"),
    ],
)
def test_other_quantizations_are_refused_by_name(tmp_path, beside, named):
    problem = header(tmp_path, WEIGHT | beside).problem
    assert "its weights are quantized" in problem
    assert named in problem


def test_one_layer_of_another_format_is_found_in_the_metadata(tmp_path):
    layers = {"layer": {"format": "float8_e4m3fn"}, "other": {"format": "svdquant_w4a4"}}
    found = header(tmp_path, WEIGHT, _quantization_metadata=json.dumps({"layers": layers}))
    assert "svdquant_w4a4 (other)" in found.problem


@pytest.mark.parametrize("text", ["[", "[1]", '{"layers": 1}', '{"layers": {"x": 1}}', "[" * 100_000])
def test_malformed_formats_are_an_error_and_not_ignored(tmp_path, text):
    with pytest.raises(ValueError, match=r"_quantization_metadata|format of a quantized layer"):
        header(tmp_path, WEIGHT, _quantization_metadata=text)


def test_format_of_a_layer_must_be_short_text(tmp_path):
    with pytest.raises(ValueError, match="at most 4096 bytes"):
        header(tmp_path, {"x.comfy_quant": torch.zeros(5000, dtype=torch.uint8)})
    with pytest.raises(ValueError, match="is not JSON"):
        header(tmp_path, {"x.comfy_quant": torch.full((4,), 255, dtype=torch.uint8)})
