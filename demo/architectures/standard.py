"""Configurations of the released Stable Diffusion families, and the same with small widths."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

Config = dict[str, Any]

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UP_CROSS, UP_PLAIN = "CrossAttnUpBlock2D", "UpBlock2D"


@dataclass(frozen=True)
class TextEncoder:
    prefix: str
    config: Config
    is_open_clip: bool = False


@dataclass(frozen=True)
class Architecture:
    unet: Config
    vae: Config
    text_encoders: tuple[TextEncoder, ...]
    metadata: dict[str, str] = field(default_factory=dict)


VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "latent_channels": 4,
}
SD15_UNET = {
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "down_block_types": [CROSS, CROSS, CROSS, PLAIN],
    "up_block_types": [UP_PLAIN, UP_CROSS, UP_CROSS, UP_CROSS],
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
SD2_UNET = SD15_UNET | {
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
SIZE_CONDITIONING = {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
SDXL_UNET = {
    "block_out_channels": [320, 640, 1280],
    "layers_per_block": 2,
    "down_block_types": [PLAIN, CROSS, CROSS],
    "up_block_types": [UP_CROSS, UP_CROSS, UP_PLAIN],
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
    "projection_class_embeddings_input_dim": 1280 + 6 * 256,
    **SIZE_CONDITIONING,
}
REFINER_UNET = {
    "block_out_channels": [384, 768, 1536, 1536],
    "layers_per_block": 2,
    "down_block_types": [PLAIN, CROSS, CROSS, PLAIN],
    "up_block_types": [UP_PLAIN, UP_CROSS, UP_CROSS, UP_PLAIN],
    "cross_attention_dim": 1280,
    "attention_head_dim": [6, 12, 24, 24],
    "transformer_layers_per_block": 4,
    "use_linear_projection": True,
    "projection_class_embeddings_input_dim": 1280 + 5 * 256,
    **SIZE_CONDITIONING,
}


def _clip(width: int, layers: int, heads: int, **more: Any) -> Config:
    return {
        "vocab_size": 49408,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": 77,
        "projection_dim": width,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        **more,
    }


OPENAI_CLIP = _clip(768, 12, 12, hidden_act="quick_gelu", pad_token_id=49407)
OPEN_CLIP_H = _clip(1024, 24, 16, hidden_act="gelu", pad_token_id=0)
OPEN_CLIP_G = _clip(1280, 32, 20, hidden_act="gelu", pad_token_id=0)
FIRST, SECOND = "conditioner.embedders.0.", "conditioner.embedders.1."

ARCHITECTURES = {
    "sd15": Architecture(SD15_UNET, VAE, (TextEncoder("cond_stage_model.transformer.", OPENAI_CLIP),)),
    "sd2": Architecture(SD2_UNET, VAE, (TextEncoder("cond_stage_model.model.", OPEN_CLIP_H, True),)),
    "sdxl": Architecture(
        SDXL_UNET,
        VAE,
        (
            TextEncoder(f"{FIRST}transformer.", OPENAI_CLIP),
            TextEncoder(f"{SECOND}model.", OPEN_CLIP_G, True),
        ),
    ),
    "refiner": Architecture(REFINER_UNET, VAE, (TextEncoder(f"{FIRST}model.", OPEN_CLIP_G, True),)),
}


def _tiny_unet(config: Config, context: int, pooled: int) -> Config:
    levels = len(config["block_out_channels"])
    widths = [32, 64, 64, 64][:levels]
    small = config | {
        "block_out_channels": widths,
        "layers_per_block": 1,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
        "cross_attention_dim": context,
    }
    if "transformer_layers_per_block" in config:
        small["transformer_layers_per_block"] = [1, 1, 2][:levels] if levels == 3 else 2
    if "addition_embed_type" in config:
        numbers = (config["projection_class_embeddings_input_dim"] - 1280) // 256
        small |= {
            "addition_time_embed_dim": 16,
            "projection_class_embeddings_input_dim": pooled + numbers * 16,
        }
    return small


def _tiny(architecture: Architecture, widths: tuple[int, ...]) -> Architecture:
    encoders = tuple(
        replace(
            encoder,
            config=encoder.config | _clip(width, 3, 4) | {"hidden_act": encoder.config["hidden_act"]},
        )
        for encoder, width in zip(architecture.text_encoders, widths, strict=True)
    )
    unet = _tiny_unet(architecture.unet, sum(widths), widths[-1])
    vae = VAE | {"block_out_channels": [16, 32, 32, 32], "layers_per_block": 1, "norm_num_groups": 4}
    return Architecture(unet, vae, encoders, {"atelier.config": json.dumps(_not_in_shapes(unet))})


def _not_in_shapes(unet: Config) -> dict[str, Config]:
    size_conditioning = {key: unet[key] for key in ("addition_time_embed_dim",) if key in unet}
    heads = {"num_attention_heads": 4}
    return {
        "unet": {"attention_head_dim": 4, "norm_num_groups": 8, **size_conditioning},
        "vae": {"norm_num_groups": 4},
        "text_encoder": heads,
        "text_encoder_2": heads,
    }


TINY = {
    "sd15": _tiny(ARCHITECTURES["sd15"], (64,)),
    "sd2": _tiny(ARCHITECTURES["sd2"], (64,)),
    "sdxl": _tiny(ARCHITECTURES["sdxl"], (32, 64)),
    "refiner": _tiny(ARCHITECTURES["refiner"], (64,)),
}
