"""Diffusion transformers of released sizes (on the meta device) and tiny ones, in the layouts of their files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import diffusers
import torch
from torch import Tensor

from gpu_runner.protocol.model_detection.transformers.recognition import TRANSFORMERS

BY_FAMILY = {transformer.family: transformer for transformer in TRANSFORMERS}
# Arguments of the released models, by family and variant. The rest are the defaults of diffusers.
RELEASED: dict[str, tuple[str, dict[str, Any]]] = {
    "SD3 medium": (
        "sd3",
        {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536, "pos_embed_max_size": 192},
    ),
    "SD3.5 medium": (
        "sd3",
        {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536, "pos_embed_max_size": 384,
         "qk_norm": "rms_norm", "dual_attention_layers": tuple(range(13))},
    ),
    "SD3.5 large": (
        "sd3",
        {"num_layers": 38, "num_attention_heads": 38, "caption_projection_dim": 2432, "pos_embed_max_size": 192,
         "qk_norm": "rms_norm"},
    ),
    "Z-Image": ("z_image", {}),
    "FLUX.1 schnell": ("flux1", {}),
    "FLUX.1 dev": ("flux1", {"guidance_embeds": True}),
    "FLUX.1 Fill": ("flux1", {"guidance_embeds": True, "in_channels": 384, "out_channels": 64}),
    "Chroma": ("chroma", {}),
    "FLUX.2 klein 4B": (
        "flux2",
        {"num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "joint_attention_dim": 7680,
         "guidance_embeds": False},
    ),
    "FLUX.2 dev": ("flux2", {}),
    "Qwen-Image": ("qwen_image", {}),
}  # fmt: skip
TINY: dict[str, dict[str, Any]] = {
    "sd3": {
        "sample_size": 16, "num_layers": 3, "num_attention_heads": 2, "attention_head_dim": 16, "joint_attention_dim": 32,
        "caption_projection_dim": 32, "pooled_projection_dim": 24, "pos_embed_max_size": 12, "qk_norm": "rms_norm",
        "dual_attention_layers": (0, 1),
    },
    "z_image": {
        "dim": 32, "n_layers": 2, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2, "cap_feat_dim": 24,
        "axes_dims": [4, 6, 6], "axes_lens": [64, 32, 32],
    },
    "flux1": {
        "num_layers": 2, "num_single_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16,
        "joint_attention_dim": 32, "pooled_projection_dim": 24, "guidance_embeds": True, "axes_dims_rope": (4, 6, 6),
    },
    "chroma": {
        "num_layers": 2, "num_single_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16,
        "joint_attention_dim": 32, "approximator_num_channels": 64, "approximator_hidden_dim": 32, "approximator_layers": 2,
        "axes_dims_rope": (4, 6, 6),
    },
    "flux2": {
        "in_channels": 128, "num_layers": 2, "num_single_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16,
        "joint_attention_dim": 24, "axes_dims_rope": (4, 4, 4, 4), "guidance_embeds": False,
    },
    "qwen_image": {
        "num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16, "joint_attention_dim": 32,
        "axes_dims_rope": (4, 6, 6),
    },
}  # fmt: skip

# Variants of a family with other shapes.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "schnell": ("flux1", {"guidance_embeds": False}),
    "flux1 deep": ("flux1", {"num_layers": 4}),
    "flux1 fill": ("flux1", {"in_channels": 384, "out_channels": 64}),
    "flux1 control": ("flux1", {"in_channels": 128, "out_channels": 64}),
}


def build(family: str, config: Mapping[str, Any], device: str = "meta") -> Any:
    """A model of diffusers with random weights."""
    with torch.device(device):
        return getattr(diffusers, BY_FAMILY[family].class_name)(**config)


def released(name: str) -> tuple[str, dict[str, Tensor]]:
    """Family and state of a released model, on the meta device."""
    family, config = RELEASED[name]
    return family, build(family, config).state_dict()


@cache
def tiny(family: str, seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if family in VARIANTS:
            of_family, config = VARIANTS[family]
            return build(of_family, TINY[of_family] | config, "cpu").eval()
        return build(family, TINY[family], "cpu").eval()
