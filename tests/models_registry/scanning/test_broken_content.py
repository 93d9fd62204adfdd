"""Failed downloads are named as what they are, and files of numbers that are none are not offered."""

import pytest
import torch
from safetensors.torch import save_file

from models_registry.scanning.broken_content import first_not_finite
from models_registry.scanning.inspect_file import inspect_file

LINEAR = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n", "a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html><title>Log in</title></html>", "a web page"),
        (b'{"error": "Invalid credentials in Authorization header"}', "an error message of a server"),
        (b"PK\x03\x04" + bytes(60), "a pickle of torch"),
        (b"GGUF" + bytes(60), "its name must end in .gguf"),
        (b"", "not a valid safetensors file"),
        (bytes(range(100)), "not a valid safetensors file"),
    ],
    ids=["git lfs", "html", "json", "zip", "gguf", "empty", "noise"],
)
def test_failed_download_is_named(tmp_path, content, told):
    (tmp_path / "model.safetensors").write_bytes(content)
    found = inspect_file(tmp_path, "model.safetensors")
    assert (found.kind, told in found.problem) == ("unknown", True)


def lora(dtype: torch.dtype, value: float) -> dict[str, torch.Tensor]:
    tensors = {
        f"{LINEAR}.lora_down.weight": torch.ones(4, 768, dtype=dtype),
        f"{LINEAR}.lora_up.weight": torch.ones(320, 4, dtype=dtype),
    }
    tensors[f"{LINEAR}.lora_up.weight"][319, 3] = value
    return tensors


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("-inf")], ids=["nan", "infinity"])
def test_values_that_are_not_numbers_are_a_problem(tmp_path, dtype, value):
    save_file(lora(dtype, value), tmp_path / "broken.safetensors")
    found = inspect_file(tmp_path, "broken.safetensors")
    assert found.kind == "lora"
    assert found.problem == f"Not usable: values that are not numbers in {LINEAR}.lora_up.weight"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_largest_numbers_are_numbers(tmp_path, dtype):
    save_file(lora(dtype, torch.finfo(dtype).max), tmp_path / "large.safetensors")
    assert first_not_finite(tmp_path / "large.safetensors") == ""


def test_embedding_of_values_that_are_not_numbers_is_a_problem(tmp_path):
    save_file({"emb_params": torch.full((2, 768), float("nan"))}, tmp_path / "girl.safetensors")
    found = inspect_file(tmp_path, "girl.safetensors")
    assert (found.kind, "not numbers" in found.problem) == ("embedding", True)
