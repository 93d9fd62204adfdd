"""Infers diffusers and transformers configurations from the tensor shapes of an LDM-layout file.

Any width and depth is supported. Shapes do not show the numbers of attention heads and normalization groups:
the defaults of the family are used, unless the metadata key ``atelier.config`` overrides them:
JSON ``{"unet": {...}, "vae": {...}, "text_encoder": {...}}``. This module does not import torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from .layer_numbers import is_valid
from .safetensors_header import Metadata, Shapes
from .safetensors_models import UNET, has_text_encoder, name_shapes_below

METADATA_KEY = "atelier.config"
VAE = "first_stage_model."
CLIP = "cond_stage_model.transformer."
OPEN_CLIP = "cond_stage_model.model."
OVERRIDABLE = {
    "controlnet": {
        "attention_head_dim",
        "num_attention_heads",
        "norm_num_groups",
        "global_pool_conditions",
        "control_layers_places",
        "control_refiner_layers_places",
        "sample_size",
    },
    "unet": {"attention_head_dim", "norm_num_groups", "sample_size", "addition_time_embed_dim"},
    "vae": {"norm_num_groups", "sample_size", "scaling_factor"},
    "transformer": {
        *("attention_head_dim", "num_attention_heads", "n_heads", "n_kv_heads", "sample_size"),
        *("axes_dims_rope", "axes_dims", "axes_lens"),
    },
    "text_encoder": {"num_attention_heads", "hidden_act", "projection_dim"},
    "text_encoder_2": {"num_attention_heads", "hidden_act"},
}
STABLE_DIFFUSION_CHANNELS = 4
SCALING_FACTORS = {"sd15": 0.18215, "sd2": 0.18215, "sdxl": 0.13025}

Config = dict[str, Any]


@dataclass(frozen=True)
class Configurations:
    unet: Config
    vae_scaling: float  # of the family, or as the metadata says; a named VAE does not change it
    text_encoders: list[TextEncoder]


def infer(shapes: Shapes, family: str, metadata: Metadata) -> Configurations:
    """Infer the configurations of a checkpoint's UNet and text encoders.

    Raises ValueError if a tensor is missing or the architecture is unknown.
    """
    overrides = read_overrides(metadata)
    return Configurations(
        unet=infer_unet(name_shapes_below(shapes, UNET), family) | overrides["unet"],
        vae_scaling=float(overrides["vae"].get("scaling_factor", SCALING_FACTORS.get(family, 0.18215))),
        text_encoders=[
            replaced(encoder, overrides[part])
            for encoder, part in zip(
                infer_text_encoders(shapes, family), ("text_encoder", "text_encoder_2"), strict=False
            )
        ],
    )


def infer_checkpoint_vae(shapes: Shapes, family: str, metadata: Metadata) -> Config:
    """Infer the configuration of the VAE of a checkpoint. Raises ValueError."""
    return infer_vae(name_shapes_below(shapes, VAE), family) | read_overrides(metadata)["vae"]


def read_overrides(metadata: Metadata) -> dict[str, Config]:
    """Parse the ``atelier.config`` metadata. Raises ValueError if it is malformed or sets other keys."""
    try:
        overrides = json.loads(metadata.get(METADATA_KEY, "{}"))
        return {part: _validated_overrides(part, overrides.get(part, {})) for part in OVERRIDABLE}
    except (AttributeError, RecursionError, ValueError) as error:
        raise ValueError(f"invalid metadata key {METADATA_KEY}: {error}") from error


def _validated_overrides(part: str, overrides: Config) -> Config:
    if unknown := sorted(overrides.keys() - OVERRIDABLE[part]):
        allowed = ", ".join(sorted(OVERRIDABLE[part]))
        raise ValueError(f"{part} must only set {allowed} (got {unknown[0]})")
    if invalid := next((name for name, value in overrides.items() if not is_valid(name, value)), None):
        raise ValueError(f"{part} has an invalid {invalid}")
    return overrides


def infer_unet(shapes: Shapes, family: str) -> Config:
    levels = levels_of(shapes)
    widths = [level.width for level in levels]
    has_attention = [level.depth > 0 for level in levels]
    middle_depth = depth_of(shapes, "middle_block.1")
    depths = [level.depth or 1 for level in levels[:-1]] + [levels[-1].depth or middle_depth]
    cross_attention_key = shape_of(shapes, "middle_block.1.transformer_blocks.0.attn2.to_k.weight")
    config = {
        "in_channels": shape_of(shapes, "input_blocks.0.0.weight")[1],
        "out_channels": shape_of(shapes, "out.2.weight")[0],
        "block_out_channels": widths,
        "layers_per_block": levels[0].layers,
        "down_block_types": [
            "CrossAttnDownBlock2D" if attention else "DownBlock2D" for attention in has_attention
        ],
        "up_block_types": [
            "CrossAttnUpBlock2D" if attention else "UpBlock2D" for attention in reversed(has_attention)
        ],
        "transformer_layers_per_block": depths,
        "cross_attention_dim": cross_attention_key[1],
        "use_linear_projection": len(shape_of(shapes, "middle_block.1.proj_in.weight")) == 2,
        "norm_num_groups": 32,
        # In diffusers this is the number of heads: 8 at every width in SD 1, width / 64 in later families.
        "attention_head_dim": 8 if family == "sd15" else [max(1, width // 64) for width in widths],
    }
    return config | size_conditioning(shapes)


def size_conditioning(shapes: Shapes) -> Config:
    """SDXL adds the image size and the pooled prompt embedding to the time embedding."""
    if "label_emb.0.0.weight" not in shapes:
        return {}
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": shape_of(shapes, "label_emb.0.0.weight")[1],
    }


@dataclass
class Level:
    """The blocks of one resolution; ``depth`` is the number of transformer blocks per attention, or 0."""

    width: int
    layers: int
    depth: int


def levels_of(shapes: Shapes) -> list[Level]:
    """Levels of the down blocks of an LDM UNet, from the highest resolution. Raises ValueError."""
    levels: list[Level] = []
    starts_level = True
    for block in count(1):
        resnet = shapes.get(f"input_blocks.{block}.0.in_layers.2.weight")
        if resnet is None and f"input_blocks.{block}.0.op.weight" not in shapes:
            break
        if resnet is None:
            starts_level = True
        elif starts_level:
            levels.append(Level(resnet[0], 1, depth_of(shapes, f"input_blocks.{block}.1")))
            starts_level = False
        else:
            levels[-1].layers += 1
    if not levels or len({level.layers for level in levels}) != 1:
        raise ValueError("unsupported UNet architecture")
    return levels


def depth_of(shapes: Shapes, attention: str) -> int:
    """Number of transformer blocks of an attention module; 0 if it does not exist."""
    return next(n for n in count() if f"{attention}.transformer_blocks.{n}.norm1.weight" not in shapes)


@dataclass(frozen=True)
class VaeNames:
    """Tensor names of a VAE layout: the first convolution of each encoder layer."""

    first_conv: str

    def at(self, level: int, layer: int) -> str:
        return f"encoder.{self.first_conv.format(level=level, layer=layer)}.conv1.weight"


LDM_VAE = VaeNames("down.{level}.block.{layer}")
DIFFUSERS_VAE = VaeNames("down_blocks.{level}.resnets.{layer}")


def infer_vae(shapes: Shapes, family: str) -> Config:
    return _vae(shapes, family, LDM_VAE)


def infer_diffusers_vae(shapes: Shapes, family: str) -> Config:
    return _vae(shapes, family, DIFFUSERS_VAE)


def _vae(shapes: Shapes, family: str, names: VaeNames) -> Config:
    widths = _vae_widths(shapes, names)
    config = {
        "in_channels": shape_of(shapes, "encoder.conv_in.weight")[1],
        "out_channels": shape_of(shapes, "decoder.conv_out.weight")[0],
        "latent_channels": shape_of(shapes, "decoder.conv_in.weight")[1],
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "layers_per_block": next(n for n in count() if names.at(0, n) not in shapes),
        "norm_num_groups": 32,
        "scaling_factor": SCALING_FACTORS.get(family, 0.18215),
    }
    if config["latent_channels"] == STABLE_DIFFUSION_CHANNELS or "quant_conv.weight" in shapes:
        return config
    return config | {"use_quant_conv": False, "use_post_quant_conv": False}  # as those of SD3 and FLUX.1


def _vae_widths(shapes: Shapes, names: VaeNames) -> list[int]:
    widths: list[int] = []
    while shape := shapes.get(names.at(len(widths), 0)):
        widths.append(shape[0])
    if not widths:
        raise ValueError("no VAE tensors found")
    return widths


@dataclass(frozen=True)
class TextEncoder:
    """Key prefix and configuration of a text encoder in a checkpoint file."""

    prefix: str
    config: Config
    is_open_clip: bool = False
    projects: bool = False  # also returns the pooled projection


def infer_text_encoders(shapes: Shapes, family: str) -> list[TextEncoder]:
    """Those of a checkpoint; empty for a UNet alone. Raises ValueError."""
    if not has_text_encoder(shapes):
        return []
    if family == "sd2":
        return [TextEncoder(OPEN_CLIP, _open_clip_penultimate(name_shapes_below(shapes, OPEN_CLIP)), True)]
    if family == "sdxl":
        return [_sdxl_encoder(shapes, f"conditioner.embedders.{index}.") for index in _sdxl_indices(shapes)]
    return [TextEncoder(CLIP, _openai_clip(name_shapes_below(shapes, CLIP)))]


CLIP_G_WIDTH = 1280
BUNDLED_CLIP_L = "text_encoders.clip_l.transformer."
BUNDLED_CLIP_G = "text_encoders.clip_g.transformer."


def infer_bundled_clip(shapes: Shapes) -> list[TextEncoder]:
    """CLIP-L and CLIP-G in an SD3 file, both in the layout of transformers. Empty without CLIP-L."""
    encoders = []
    if clip_l := name_shapes_below(shapes, BUNDLED_CLIP_L):
        encoders.append(TextEncoder(BUNDLED_CLIP_L, _openai_clip(clip_l)))
        if clip_g := name_shapes_below(shapes, BUNDLED_CLIP_G):
            projection = shape_of(clip_g, "text_projection.weight")
            config = _openai_clip(clip_g) | {"hidden_act": "gelu", "pad_token_id": 0}
            config |= {"projection_dim": projection[0]}
            encoders.append(TextEncoder(BUNDLED_CLIP_G, config, projects=True))
    return encoders


def infer_clip_file(shapes: Shapes) -> tuple[str, TextEncoder]:
    """Kind and configuration of a CLIP in a file of its own, in the layout of transformers. Raises ValueError."""
    if not any(name.endswith("encoder.layers.0.mlp.fc1.weight") for name in shapes):
        raise ValueError("it is no text encoder that is read here")
    config = _openai_clip(shapes)
    if config["hidden_size"] != CLIP_G_WIDTH:
        return "clip_l", TextEncoder("", config)
    projection = shape_of(shapes, "text_projection.weight")
    config |= {"hidden_act": "gelu", "pad_token_id": 0, "projection_dim": projection[0]}
    return "clip_g", TextEncoder("", config, projects=True)


def replaced(encoder: TextEncoder, overrides: Config) -> TextEncoder:
    """The encoder with parts of its configuration replaced."""
    return replace(encoder, config=encoder.config | overrides)


def _sdxl_indices(shapes: Shapes) -> list[int]:
    """Embedder indices: 0 and 1, or only 0 in the SDXL refiner, which has a single OpenCLIP encoder."""
    return [0, 1] if any(name.startswith("conditioner.embedders.0.transformer.") for name in shapes) else [0]


def _sdxl_encoder(shapes: Shapes, embedder: str) -> TextEncoder:
    openai = name_shapes_below(shapes, f"{embedder}transformer.")
    if openai:
        return TextEncoder(f"{embedder}transformer.", _openai_clip(openai))
    config = _open_clip(name_shapes_below(shapes, f"{embedder}model."))
    projection = shape_of(shapes, f"{embedder}model.text_projection")
    return TextEncoder(f"{embedder}model.", config | {"projection_dim": projection[1]}, True, True)


def _openai_clip(inner: Shapes) -> Config:
    shapes = name_shapes_below(inner, "text_model.") or inner
    layers = next(n for n in count() if f"encoder.layers.{n}.mlp.fc1.weight" not in shapes)
    vocabulary, width = shape_of(shapes, "embeddings.token_embedding.weight")
    return _clip(vocabulary, width, layers, shape_of(shapes, "encoder.layers.0.mlp.fc1.weight")[0]) | {
        "max_position_embeddings": shape_of(shapes, "embeddings.position_embedding.weight")[0],
        "hidden_act": "quick_gelu",
        "pad_token_id": 49407,
    }


def _open_clip_penultimate(shapes: Shapes) -> Config:
    """SD 2 uses the penultimate hidden states, so the last layer is not built."""
    config = _open_clip(shapes)
    return config | {"num_hidden_layers": max(1, config["num_hidden_layers"] - 1)}


def _open_clip(shapes: Shapes) -> Config:
    layers = next(n for n in count() if f"transformer.resblocks.{n}.mlp.c_fc.weight" not in shapes)
    vocabulary, width = shape_of(shapes, "token_embedding.weight")
    return _clip(
        vocabulary, width, layers, shape_of(shapes, "transformer.resblocks.0.mlp.c_fc.weight")[0]
    ) | {
        "max_position_embeddings": shape_of(shapes, "positional_embedding")[0],
        "hidden_act": "gelu",
        "pad_token_id": 0,
    }


def _clip(vocabulary: int, width: int, layers: int, inner: int) -> Config:
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "num_attention_heads": max(1, width // 64),
        "projection_dim": width,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
    }


def shape_of(shapes: Shapes, name: str) -> tuple[int, ...]:
    """Shape of a tensor. Raises ValueError if it is missing."""
    shape = shapes.get(name)
    if not shape:
        raise ValueError(f"missing tensor {name}")
    return shape
