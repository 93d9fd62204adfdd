"""Files with quantized weights, as ComfyUI's tools write them."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from torch import Tensor

FLOAT8_MAX = 448.0


def scaled_float8(tensors: Mapping[str, Tensor], spelling: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Matrices as float8 with a scale for each. ``spelling``: ``scale_weight``, ``comfy_quant`` or ``metadata``.

    Returns tensors and metadata.
    """
    result: dict[str, Tensor] = {}
    layers: dict[str, dict[str, str]] = {}
    for name, tensor in tensors.items():
        if not (name.endswith(".weight") and tensor.ndim == 2 and "embedding" not in name):
            result[name] = tensor
            continue
        layer = name.removesuffix(".weight")
        scale = tensor.float().abs().max() / FLOAT8_MAX
        result[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
        layers[layer] = {"format": "float8_e4m3fn"}
        if spelling == "scale_weight":
            result |= {f"{layer}.scale_weight": scale, f"{layer}.scale_input": torch.ones(())}
        else:
            result |= {f"{layer}.weight_scale": scale.reshape(1), f"{layer}.input_scale": torch.ones(())}
        if spelling == "comfy_quant":
            content = json.dumps(layers[layer]).encode()
            result[f"{layer}.comfy_quant"] = torch.tensor(list(content), dtype=torch.uint8)
    if spelling == "scale_weight":
        result["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    if spelling == "metadata":
        return result, {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})}
    return result, {}


def float8_decoded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the weights of ``scaled_float8`` in the spelling ``scale_weight`` stand for, in float32."""
    return {
        name: tensor.float() * tensors.get(f"{name.removesuffix('weight')}scale_weight", torch.ones(()))
        for name, tensor in tensors.items()
        if not name.endswith((".scale_weight", ".scale_input", "scaled_fp8"))
    }
