"""Write a checkpoint of a released family, at full size and in its original layout, with random weights.

``python -m demo.architectures.random_models --family sd15|sd2|sdxl|refiner --output DIR [--tiny]``: for tests of loading
files of that size. Their outputs are noise.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from demo.architectures.standard import ARCHITECTURES, TINY, Architecture, TextEncoder
from gpu_runner.models.conversion.ldm_keys import (
    UNET_PREFIX,
    VAE_PREFIX,
    from_diffusers,
    unet_pairs,
    vae_pairs,
)

PATTERN = 2**20  # random numbers, repeated for all tensors: generating billions takes minutes
DEVIATION = 0.02
# A layer's modules in OpenCLIP's names and in those of transformers.
LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def layout(architecture: Architecture) -> dict[str, Tensor]:
    """The tensors of the file, on the meta device."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**architecture.unet)
        vae = AutoencoderKL(**architecture.vae)
    tensors = from_diffusers(unet.state_dict(), UNET_PREFIX, unet_pairs(unet.config))
    tensors |= from_diffusers(vae.state_dict(), VAE_PREFIX, vae_pairs(vae.config))
    for encoder in architecture.text_encoders:
        tensors |= _text_layout(encoder)
    return tensors


def _text_layout(encoder: TextEncoder) -> dict[str, Tensor]:
    kind = CLIPTextModelWithProjection if encoder.is_open_clip else CLIPTextModel
    with torch.device("meta"):
        model = kind(CLIPTextConfig(**encoder.config))
    state = {name.removeprefix("text_model."): tensor for name, tensor in model.state_dict().items()}
    if encoder.is_open_clip:
        return transformers_to_open_clip(state, encoder.prefix, encoder.config["num_hidden_layers"])
    return {f"{encoder.prefix}text_model.{name}": tensor for name, tensor in state.items()}


def transformers_to_open_clip(state: Mapping[str, Tensor], prefix: str, layers: int) -> dict[str, Tensor]:
    """Rename a transformers state dict, without the prefix ``text_model.``, to OpenCLIP names with ``prefix``."""
    result = {
        f"{prefix}token_embedding.weight": state["embeddings.token_embedding.weight"],
        f"{prefix}positional_embedding": state["embeddings.position_embedding.weight"],
    }
    if "text_projection.weight" in state:
        result[f"{prefix}text_projection"] = state["text_projection.weight"].T
    for kind in ("weight", "bias"):
        result[f"{prefix}ln_final.{kind}"] = state[f"final_layer_norm.{kind}"]
        for layer in range(layers):
            open_clip, transformers = f"{prefix}transformer.resblocks.{layer}", f"encoder.layers.{layer}"
            result |= {
                f"{open_clip}.{old}.{kind}": state[f"{transformers}.{new}.{kind}"]
                for old, new in LAYER.items()
            }
            parts = [state[f"{transformers}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            result[f"{open_clip}.attn.in_proj_{kind}"] = torch.cat(parts)
    return result


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file tensor by tensor, so that the whole need not fit into memory."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + 2 * tensor.numel()
        entries[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        _fill(file, tensors)


def _fill(file: BinaryIO, tensors: Mapping[str, Tensor]) -> None:
    pattern = (np.random.default_rng(0).standard_normal(PATTERN) * DEVIATION).astype(np.float16).tobytes()
    for name, tensor in tensors.items():
        for piece in _content(name, tensor, pattern):
            file.write(piece)


def _content(name: str, tensor: Tensor, pattern: bytes) -> Iterator[bytes]:
    size = 2 * tensor.numel()
    if tensor.ndim == 1:  # scales of normalizations, and biases
        number = np.float16(name.endswith(".weight"))
        yield np.full(tensor.numel(), number).tobytes()
        return
    for begin in range(0, size, len(pattern)):
        yield pattern[: size - begin]


def write_family(family: str, path: Path, *, tiny: bool = False) -> None:
    architecture = (TINY if tiny else ARCHITECTURES)[family]
    write(path, layout(architecture), architecture.metadata)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=sorted(ARCHITECTURES), required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true", help="the same layout with small widths")
    options = parser.parse_args()
    path = options.output / f"random-{'tiny-' * options.tiny}{options.family}.safetensors"
    write_family(options.family, path, tiny=options.tiny)
    print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB")


if __name__ == "__main__":
    main()
