"""A tiny random ControlNet for the tiny checkpoint. Its zero convolutions have random weights, so it has an effect."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file

from demo.architectures import demo_model as architecture
from gpu_runner.models.conversion.ldm_keys import controlnet_pairs, from_diffusers
from gpu_runner.protocol import ModelFile

SHARED = (
    "in_channels",
    "block_out_channels",
    "layers_per_block",
    "down_block_types",
    "cross_attention_dim",
    "attention_head_dim",
    "norm_num_groups",
)
CONFIG = {name: architecture.UNET_CONFIG[name] for name in SHARED} | {
    "conditioning_embedding_out_channels": [8, 16, 24, 32]
}
METADATA = {
    "atelier.config": json.dumps(
        {"controlnet": {name: CONFIG[name] for name in ("attention_head_dim", "norm_num_groups")}}
    ),
    "modelspec.architecture": "stable-diffusion-v1/controlnet",
}


def random_controlnet(seed: int, strength: float = 0.1, **config: int) -> ControlNetModel:
    """``strength`` is the standard deviation of the zero convolutions; 0 initializes them as before training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = ControlNetModel(**CONFIG | config)
        for name, weight in net.named_parameters():
            if name.startswith("controlnet_") and "cond_embedding" not in name:
                weight.data.normal_(0, strength) if strength else weight.data.zero_()
            elif name.startswith(
                "controlnet_cond_embedding"
            ):  # the default would make the hint's effect small
                weight.data.normal_(0, (2 / weight[0].numel()) ** 0.5)
    return net.half().eval().requires_grad_(False)


def ldm_tensors(net: ControlNetModel) -> dict[str, torch.Tensor]:
    return from_diffusers(net.state_dict(), "control_model.", controlnet_pairs(CONFIG))


def write_tensors(root: Path, path: str, tensors: dict[str, torch.Tensor], **metadata: str) -> ModelFile:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    if file.suffix == ".safetensors":
        save_file(tensors, file, metadata=METADATA | metadata)
    else:
        torch.save({"state_dict": tensors, **METADATA, **metadata}, file)
    return ModelFile(path=path, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
