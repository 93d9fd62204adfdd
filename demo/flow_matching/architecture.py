"""Configurations of the demo's flow-matching model: Stable Diffusion 3.5 with small widths and without CLIP-G and T5."""

from __future__ import annotations

from diffusers import AutoencoderKL, SD3Transformer2DModel

from demo.architectures.demo_model import TEXT_ENCODER_CONFIG, VAE_CONFIG

LATENT_CHANNELS = 16
SHIFT = 3.0  # of the noise schedule, as in Stable Diffusion 3
TRANSFORMER_CONFIG = {
    "sample_size": 32,
    "patch_size": 2,
    "in_channels": LATENT_CHANNELS,
    "out_channels": LATENT_CHANNELS,
    "num_layers": 6,
    "attention_head_dim": 32,
    "num_attention_heads": 4,
    "joint_attention_dim": TEXT_ENCODER_CONFIG["hidden_size"],
    "caption_projection_dim": 128,
    "pooled_projection_dim": TEXT_ENCODER_CONFIG["projection_dim"],
    "pos_embed_max_size": 64,
    "qk_norm": "rms_norm",
}
FLOW_VAE_CONFIG = {
    **VAE_CONFIG,
    "latent_channels": LATENT_CHANNELS,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    "scaling_factor": 1.5305,
    "shift_factor": 0.0609,
}


def new_transformer() -> SD3Transformer2DModel:
    return SD3Transformer2DModel(**TRANSFORMER_CONFIG)


def new_flow_vae() -> AutoencoderKL:
    return AutoencoderKL(**FLOW_VAE_CONFIG)
