"""Tiny random ControlNets of diffusion transformers, in the layouts of their files. Their outputs are not zero."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch

from demo.flow_matching.original_layout import renamed
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.model_detection.transformers.controlnets.flux1 import KEY_MAP
from tests.support.flow_models import written
from tests.support.transformer_files import TINY


def _config(family: str, *names: str, **changes: Any) -> dict[str, Any]:
    return {name: TINY[family][name] for name in names} | changes


HEADS = ("num_attention_heads", "attention_head_dim", "joint_attention_dim")
FLUX = (*HEADS, "pooled_projection_dim", "guidance_embeds", "axes_dims_rope")
SD3 = (
    "sample_size",
    "num_attention_heads",
    "attention_head_dim",
    "pooled_projection_dim",
    "pos_embed_max_size",
)
Z_IMAGE = {"control_layers_places": [0, 1], "dim": 32, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2}


@dataclass(frozen=True)
class Tiny:
    """A tiny ControlNet: its family, its class of diffusers and arguments, and what its file says besides."""

    family: str
    class_name: str
    config: dict[str, Any]
    overrides: dict[str, Any] = field(default_factory=dict)
    original: bool = False  # in the names of its authors, not in those of diffusers


CONTROLNETS = {
    "flux union": Tiny(
        "flux1",
        "FluxControlNetModel",
        _config("flux1", *FLUX, num_layers=2, num_single_layers=1, num_mode=7),
    ),
    "flux edges": Tiny(
        "flux1",
        "FluxControlNetModel",
        _config("flux1", *FLUX, num_layers=1, num_single_layers=0, guidance_embeds=False),
    ),
    "XLabs": Tiny(
        "flux1",
        "FluxControlNetModel",
        _config("flux1", *FLUX, num_layers=2, num_single_layers=0, patch_size=2, conditioning_embedding_channels=16),
        original=True,
    ),
    "qwen union": Tiny(
        "qwen_image", "QwenImageControlNetModel", _config("qwen_image", *HEADS, "axes_dims_rope", num_layers=1)
    ),
    "qwen inpainting": Tiny(
        "qwen_image",
        "QwenImageControlNetModel",
        _config("qwen_image", *HEADS, "axes_dims_rope", num_layers=2, extra_condition_channels=4),
    ),
    "z-image 1": Tiny(
        "z_image",
        "ZImageControlNetModel",
        Z_IMAGE | {"control_in_dim": 16},
        {"control_layers_places": [0, 1]},
    ),
    "z-image 2.0": Tiny(
        "z_image",
        "ZImageControlNetModel",
        Z_IMAGE
        | {
            "control_in_dim": 33,
            "add_control_noise_refiner": "control_layers",
            "control_refiner_layers_places": [0, 1],
        },
        {"control_layers_places": [0, 1]},
    ),
    "z-image 2.1": Tiny(
        "z_image",
        "ZImageControlNetModel",
        Z_IMAGE
        | {
            "control_in_dim": 33,
            "add_control_noise_refiner": "control_noise_refiner",
            "control_refiner_layers_places": [0],
        },
        {"control_layers_places": [0, 1], "control_refiner_layers_places": [0]},
    ),
    "sd3 InstantX": Tiny(
        "sd3",
        "SD3ControlNetModel",
        _config("sd3", *SD3, "joint_attention_dim", "caption_projection_dim", "qk_norm", num_layers=2),
        {"sample_size": 16},
    ),
    "sd3 inpainting": Tiny(
        "sd3",
        "SD3ControlNetModel",
        _config(
            "sd3", *SD3, "joint_attention_dim", "caption_projection_dim", "qk_norm",
            num_layers=1, extra_conditioning_channels=1,
        ),
        {"sample_size": 16},
    ),
    "sd3 large": Tiny(
        "sd3",
        "SD3ControlNetModel",
        _config(
            "sd3", *SD3, num_layers=2, joint_attention_dim=None, use_pos_embed=False,
            force_zeros_for_pooled_projection=False,
        ),
        {"attention_head_dim": 16, "num_attention_heads": 2, "sample_size": 16},
    ),
}  # fmt: skip


def tiny_controlnet(name: str) -> Any:
    """The network of diffusers with random weights. A copy: pipelines put layers of their transformer into it."""
    return copy.deepcopy(_network(name))


@cache
def _network(name: str) -> Any:
    tiny = CONTROLNETS[name]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        net = getattr(diffusers, tiny.class_name)(**tiny.config)
        for parameter, weight in net.named_parameters():
            if not weight.any() and "norm" not in parameter:  # the layers that are zero before training
                weight.data.normal_(0, 0.2)
    return net.eval().requires_grad_(False)


def write_controlnet(root: Path, name: str) -> ModelFile:
    state = tiny_controlnet(name).state_dict()
    if CONTROLNETS[name].original:
        state = renamed(KEY_MAP, state)
    return written(root, name.replace(" ", "-"), state, controlnet=CONTROLNETS[name].overrides)
