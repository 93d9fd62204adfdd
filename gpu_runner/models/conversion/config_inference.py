"""Configurations of diffusers' and transformers' modules from the shapes in an LDM-layout file, of any width and depth.

Shapes do not tell the number of attention heads or of normalisation groups. Those are the family's standards, unless the
file's metadata key ``atelier.config`` says otherwise: JSON ``{"unet": {...}, "vae": {...}, "text_encoder": {...}}``.
No torch here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from gpu_runner.protocol.model_detection.safetensors_header import Metadata, Shapes
from gpu_runner.protocol.model_detection.safetensors_models import UNET, name_shapes_below

METADATA_KEY = "atelier.config"
VAE = "first_stage_model."
CLIP = "cond_stage_model.transformer."
OPEN_CLIP = "cond_stage_model.model."
OVERRIDABLE = {
    "controlnet": {"attention_head_dim", "norm_num_groups", "global_pool_conditions"},
    "unet": {"attention_head_dim", "norm_num_groups", "sample_size", "addition_time_embed_dim"},
    "vae": {"norm_num_groups", "sample_size", "scaling_factor"},
    "text_encoder": {"num_attention_heads", "hidden_act", "projection_dim"},
    "text_encoder_2": {"num_attention_heads", "hidden_act"},
}
SCALING_FACTORS = {"sd15": 0.18215, "sd2": 0.18215, "sdxl": 0.13025}

Config = dict[str, Any]


@dataclass(frozen=True)
class Configurations:
    unet: Config
    vae: Config
    text_encoders: list[TextEncoder]


def infer(shapes: Shapes, family: str, metadata: Metadata) -> Configurations:
    """ValueError names what the file lacks, or what about it fits no known architecture."""
    overrides = read_overrides(metadata)
    return Configurations(
        unet=infer_unet(name_shapes_below(shapes, UNET), family) | overrides["unet"],
        vae=infer_vae(name_shapes_below(shapes, VAE), family) | overrides["vae"],
        text_encoders=[
            replace(encoder, config=encoder.config | overrides[part])
            for encoder, part in zip(
                infer_text_encoders(shapes, family), ("text_encoder", "text_encoder_2"), strict=False
            )
        ],
    )


def read_overrides(metadata: Metadata) -> dict[str, Config]:
    try:
        given = json.loads(metadata.get(METADATA_KEY, "{}"))
        return {part: _known(part, given.get(part, {})) for part in OVERRIDABLE}
    except (AttributeError, RecursionError, ValueError) as error:
        raise ValueError(f"the metadata key {METADATA_KEY} is not usable: {error}") from error


def _known(part: str, given: Config) -> Config:
    if strangers := sorted(given.keys() - OVERRIDABLE[part]):
        raise ValueError(f"{part}.{strangers[0]} cannot be set")
    return given


def infer_unet(shapes: Shapes, family: str) -> Config:
    levels = _levels(shapes)
    widths = [level.width for level in levels]
    attends = [level.depth > 0 for level in levels]
    middle = _depth(shapes, "middle_block.1")
    depths = [level.depth or 1 for level in levels[:-1]] + [levels[-1].depth or middle]
    crossing = _shape_of(shapes, "middle_block.1.transformer_blocks.0.attn2.to_k.weight")
    config = {
        "in_channels": _shape_of(shapes, "input_blocks.0.0.weight")[1],
        "out_channels": _shape_of(shapes, "out.2.weight")[0],
        "block_out_channels": widths,
        "layers_per_block": levels[0].layers,
        "down_block_types": ["CrossAttnDownBlock2D" if yes else "DownBlock2D" for yes in attends],
        "up_block_types": ["CrossAttnUpBlock2D" if yes else "UpBlock2D" for yes in reversed(attends)],
        "transformer_layers_per_block": depths,
        "cross_attention_dim": crossing[1],
        "use_linear_projection": len(_shape_of(shapes, "middle_block.1.proj_in.weight")) == 2,
        "norm_num_groups": 32,
        # diffusers calls the number of heads so; SD 1 has eight heads at every width, the later ones 64 numbers a head.
        "attention_head_dim": 8 if family == "sd15" else [max(1, width // 64) for width in widths],
    }
    return config | _size_conditioning(shapes)


def _size_conditioning(shapes: Shapes) -> Config:
    """SDXL adds the picture's size and the pooled prompt to the time embedding."""
    if "label_emb.0.0.weight" not in shapes:
        return {}
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": _shape_of(shapes, "label_emb.0.0.weight")[1],
    }


@dataclass
class Level:
    """The blocks of one resolution; ``depth`` counts the transformer blocks of each attention, 0 where there is none."""

    width: int
    layers: int
    depth: int


def _levels(shapes: Shapes) -> list[Level]:
    levels: list[Level] = []
    fresh = True
    for block in count(1):
        resnet = shapes.get(f"input_blocks.{block}.0.in_layers.2.weight")
        if resnet is None and f"input_blocks.{block}.0.op.weight" not in shapes:
            break
        if resnet is None:
            fresh = True
        elif fresh:
            levels.append(Level(resnet[0], 1, _depth(shapes, f"input_blocks.{block}.1")))
            fresh = False
        else:
            levels[-1].layers += 1
    if not levels or len({level.layers for level in levels}) != 1:
        raise ValueError("its UNet is not built like any that is known")
    return levels


def _depth(shapes: Shapes, attention: str) -> int:
    return next(n for n in count() if f"{attention}.transformer_blocks.{n}.norm1.weight" not in shapes)


@dataclass(frozen=True)
class VaeNames:
    """Where a layout keeps the first convolution of a level's layers."""

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
    return {
        "in_channels": _shape_of(shapes, "encoder.conv_in.weight")[1],
        "out_channels": _shape_of(shapes, "decoder.conv_out.weight")[0],
        "latent_channels": _shape_of(shapes, "decoder.conv_in.weight")[1],
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "layers_per_block": next(n for n in count() if names.at(0, n) not in shapes),
        "norm_num_groups": 32,
        "scaling_factor": SCALING_FACTORS.get(family, 0.18215),
    }


def _vae_widths(shapes: Shapes, names: VaeNames) -> list[int]:
    widths: list[int] = []
    while shape := shapes.get(names.at(len(widths), 0)):
        widths.append(shape[0])
    if not widths:
        raise ValueError("it holds no VAE")
    return widths


@dataclass(frozen=True)
class TextEncoder:
    """Where a file holds it, and how it is built."""

    prefix: str
    config: Config
    is_open_clip: bool = False
    projects: bool = False  # gives the whole text in one state, too


def infer_text_encoders(shapes: Shapes, family: str) -> list[TextEncoder]:
    if family == "sd2":
        return [TextEncoder(OPEN_CLIP, _before_the_last(name_shapes_below(shapes, OPEN_CLIP)), True)]
    if family == "sdxl":
        return [_sdxl_encoder(shapes, f"conditioner.embedders.{place}.") for place in _sdxl_places(shapes)]
    return [TextEncoder(CLIP, _openai_clip(name_shapes_below(shapes, CLIP)))]


def _sdxl_places(shapes: Shapes) -> list[int]:
    """The refiner has the larger text encoder only, in the first place."""
    return [0, 1] if any(name.startswith("conditioner.embedders.0.transformer.") for name in shapes) else [0]


def _sdxl_encoder(shapes: Shapes, embedder: str) -> TextEncoder:
    openai = name_shapes_below(shapes, f"{embedder}transformer.")
    if openai:
        return TextEncoder(f"{embedder}transformer.", _openai_clip(openai))
    config = _open_clip(name_shapes_below(shapes, f"{embedder}model."))
    projection = _shape_of(shapes, f"{embedder}model.text_projection")
    return TextEncoder(f"{embedder}model.", config | {"projection_dim": projection[1]}, True, True)


def _openai_clip(inner: Shapes) -> Config:
    shapes = name_shapes_below(inner, "text_model.") or inner
    layers = next(n for n in count() if f"encoder.layers.{n}.mlp.fc1.weight" not in shapes)
    words, width = _shape_of(shapes, "embeddings.token_embedding.weight")
    return _clip(words, width, layers, _shape_of(shapes, "encoder.layers.0.mlp.fc1.weight")[0]) | {
        "max_position_embeddings": _shape_of(shapes, "embeddings.position_embedding.weight")[0],
        "hidden_act": "quick_gelu",
        "pad_token_id": 49407,
    }


def _before_the_last(shapes: Shapes) -> Config:
    """SD 2 takes the states before the last layer, which is why its last layer is not even built."""
    config = _open_clip(shapes)
    return config | {"num_hidden_layers": max(1, config["num_hidden_layers"] - 1)}


def _open_clip(shapes: Shapes) -> Config:
    layers = next(n for n in count() if f"transformer.resblocks.{n}.mlp.c_fc.weight" not in shapes)
    words, width = _shape_of(shapes, "token_embedding.weight")
    return _clip(words, width, layers, _shape_of(shapes, "transformer.resblocks.0.mlp.c_fc.weight")[0]) | {
        "max_position_embeddings": _shape_of(shapes, "positional_embedding")[0],
        "hidden_act": "gelu",
        "pad_token_id": 0,
    }


def _clip(words: int, width: int, layers: int, inner: int) -> Config:
    return {
        "vocab_size": words,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "num_attention_heads": max(1, width // 64),
        "projection_dim": width,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
    }


def _shape_of(shapes: Shapes, name: str) -> tuple[int, ...]:
    shape = shapes.get(name)
    if not shape:
        raise ValueError(f"it lacks the tensor {name}")
    return shape
