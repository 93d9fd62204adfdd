"""Random LoRAs for the tiny checkpoint, in the layouts of the tools that train them."""

from __future__ import annotations

import torch

UNET = "down_blocks.1.attentions.0.transformer_blocks.0"
LINEAR = f"{UNET}.attn2.to_k"  # 64 -> 64
CROSS_LAYER = f"{UNET}.attn1.to_out.0"
CONV = "down_blocks.1.resnets.0.conv1"  # 3x3
TEXT = "encoder.layers.0.mlp.fc1"


def noise(*shape, seed=0, scale=0.1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def factors(module, rank=2, seed=0):
    """(down, up) for a linear layer or a convolution."""
    weight = module.weight
    down, up = noise(rank, *weight.shape[1:], seed=seed), noise(weight.shape[0], rank, seed=seed + 1)
    return down, up[..., None, None] if weight.ndim == 4 else up


def kohya(modules, paths=(LINEAR,), text_paths=(), rank=2, alpha=1.0, seed=0):
    """A LoRA in kohya's names, over these modules of the UNet and of the text encoder."""
    tensors = {}
    targets = [("lora_unet_", modules.unet, path) for path in paths]
    targets += [("lora_te_text_model_", modules.text_encoder, path) for path in text_paths]
    for number, (prefix, root, path) in enumerate(targets):
        down, up = factors(root.get_submodule(path), rank, seed + 10 * number)
        name = prefix + path.replace(".", "_")
        tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        tensors[f"{name}.alpha"] = torch.tensor(alpha)
    return tensors
