"""Module names of the LDM layout of single-file checkpoints and of diffusers, for a configuration of any width and depth.

Each ``*_pairs`` function returns pairs of module names (LDM, diffusers). A tensor name is a module name plus ``.weight`` or
``.bias``. The pairs serve loading, writing, and the check of a file's tensors in scans. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Pair = tuple[str, str]

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
CLIP_PREFIX = "cond_stage_model.transformer."


def _resnet(ldm: str, diffusers: str, shortcut: bool) -> list[Pair]:
    pairs = [
        (f"{ldm}.in_layers.0", f"{diffusers}.norm1"),
        (f"{ldm}.in_layers.2", f"{diffusers}.conv1"),
        (f"{ldm}.emb_layers.1", f"{diffusers}.time_emb_proj"),
        (f"{ldm}.out_layers.0", f"{diffusers}.norm2"),
        (f"{ldm}.out_layers.3", f"{diffusers}.conv2"),
    ]
    return [*pairs, (f"{ldm}.skip_connection", f"{diffusers}.conv_shortcut")] if shortcut else pairs


def _attention(ldm: str, diffusers: str, depth: int) -> list[Pair]:
    names = ["norm", "proj_in", "proj_out"]
    for block in range(depth):
        inner = [f"norm{i}" for i in (1, 2, 3)] + ["ff.net.0.proj", "ff.net.2"]
        inner += [f"attn{i}.{part}" for i in (1, 2) for part in ("to_q", "to_k", "to_v", "to_out.0")]
        names += [f"transformer_blocks.{block}.{name}" for name in inner]
    return [(f"{ldm}.{name}", f"{diffusers}.{name}") for name in names]


def per_level(value: int | Sequence[int], levels: int) -> list[int]:
    return [value] * levels if isinstance(value, int) else list(value)


def _unet_encoder_pairs(config: Mapping[str, Any]) -> list[Pair]:
    """Pairs for the down blocks and the middle block, which UNet and ControlNet share."""
    widths = list(config["block_out_channels"])
    levels = len(widths)
    resnets = config["layers_per_block"]
    depths = per_level(config.get("transformer_layers_per_block", 1), levels)
    pairs = [
        ("time_embed.0", "time_embedding.linear_1"),
        ("time_embed.2", "time_embedding.linear_2"),
        ("input_blocks.0.0", "conv_in"),
    ]
    if config.get("addition_embed_type"):
        pairs += [("label_emb.0.0", "add_embedding.linear_1"), ("label_emb.0.2", "add_embedding.linear_2")]
    block, width = 1, widths[0]
    for level in range(levels):
        has_attention = config["down_block_types"][level] == "CrossAttnDownBlock2D"
        for layer in range(resnets):
            ldm, diffusers = f"input_blocks.{block}", f"down_blocks.{level}"
            pairs += _resnet(f"{ldm}.0", f"{diffusers}.resnets.{layer}", width != widths[level])
            width = widths[level]
            if has_attention:
                pairs += _attention(f"{ldm}.1", f"{diffusers}.attentions.{layer}", depths[level])
            block += 1
        if level + 1 < levels:
            pairs.append((f"input_blocks.{block}.0.op", f"down_blocks.{level}.downsamplers.0.conv"))
            block += 1
    pairs += _resnet("middle_block.0", "mid_block.resnets.0", False)
    pairs += _attention("middle_block.1", "mid_block.attentions.0", depths[-1])
    pairs += _resnet("middle_block.2", "mid_block.resnets.1", False)
    return pairs


def unet_pairs(config: Mapping[str, Any]) -> list[Pair]:
    """Pairs for a UNet2DConditionModel's config."""
    levels = len(config["block_out_channels"])
    resnets = config["layers_per_block"]
    depths = per_level(config.get("transformer_layers_per_block", 1), levels)
    pairs = [*_unet_encoder_pairs(config), ("out.0", "conv_norm_out"), ("out.2", "conv_out")]
    block = 0
    for up, level in enumerate(reversed(range(levels))):
        has_attention = config["up_block_types"][up] == "CrossAttnUpBlock2D"
        for layer in range(resnets + 1):
            ldm, diffusers = f"output_blocks.{block}", f"up_blocks.{up}"
            pairs += _resnet(f"{ldm}.0", f"{diffusers}.resnets.{layer}", True)
            if has_attention:
                pairs += _attention(f"{ldm}.1", f"{diffusers}.attentions.{layer}", depths[level])
            if layer == resnets and level > 0:
                index = 2 if has_attention else 1
                pairs.append((f"{ldm}.{index}.conv", f"{diffusers}.upsamplers.0.conv"))
            block += 1
    return pairs


def controlnet_pairs(config: Mapping[str, Any]) -> list[Pair]:
    """Pairs for a ControlNetModel's config."""
    levels, hints = len(config["block_out_channels"]), len(config["conditioning_embedding_out_channels"])
    embedding = ["conv_in", *(f"blocks.{i}" for i in range(2 * (hints - 1))), "conv_out"]
    residuals = 1 + levels * config["layers_per_block"] + levels - 1
    return [
        *_unet_encoder_pairs(config),
        *(
            (f"input_hint_block.{2 * i}", f"controlnet_cond_embedding.{name}")
            for i, name in enumerate(embedding)
        ),
        *((f"zero_convs.{i}.0", f"controlnet_down_blocks.{i}") for i in range(residuals)),
        ("middle_block_out.0", "controlnet_mid_block"),
    ]


def vae_pairs(config: Mapping[str, Any]) -> list[Pair]:
    """Pairs for an AutoencoderKL's config. LDM counts decoder levels from the highest resolution down."""
    widths = list(config["block_out_channels"])
    levels = len(widths)
    resnets = config["layers_per_block"]
    pairs = [(name, name) for name in ("quant_conv", "post_quant_conv") if config.get(f"use_{name}", True)]
    for side in ("encoder", "decoder"):
        pairs += [
            (f"{side}.conv_in", f"{side}.conv_in"),
            (f"{side}.conv_out", f"{side}.conv_out"),
            (f"{side}.norm_out", f"{side}.conv_norm_out"),
        ]
        for i in (0, 1):
            pairs += _vae_resnet(f"{side}.mid.block_{i + 1}", f"{side}.mid_block.resnets.{i}", False)
        for ldm, diffusers in (
            ("norm", "group_norm"),
            ("q", "to_q"),
            ("k", "to_k"),
            ("v", "to_v"),
            ("proj_out", "to_out.0"),
        ):
            pairs.append((f"{side}.mid.attn_1.{ldm}", f"{side}.mid_block.attentions.0.{diffusers}"))
    width = widths[0]
    for level in range(levels):
        for layer in range(resnets):
            ldm, diffusers = (
                f"encoder.down.{level}.block.{layer}",
                f"encoder.down_blocks.{level}.resnets.{layer}",
            )
            pairs += _vae_resnet(ldm, diffusers, width != widths[level])
            width = widths[level]
        if level + 1 < levels:
            pairs.append(
                (f"encoder.down.{level}.downsample.conv", f"encoder.down_blocks.{level}.downsamplers.0.conv")
            )
    for up, level in enumerate(reversed(range(levels))):
        for layer in range(resnets + 1):
            ldm, diffusers = f"decoder.up.{level}.block.{layer}", f"decoder.up_blocks.{up}.resnets.{layer}"
            pairs += _vae_resnet(ldm, diffusers, width != widths[level])
            width = widths[level]
        if level > 0:
            pairs.append((f"decoder.up.{level}.upsample.conv", f"decoder.up_blocks.{up}.upsamplers.0.conv"))
    return pairs


def _vae_resnet(ldm: str, diffusers: str, shortcut: bool) -> list[Pair]:
    pairs = [(f"{ldm}.{name}", f"{diffusers}.{name}") for name in ("norm1", "conv1", "norm2", "conv2")]
    return [*pairs, (f"{ldm}.nin_shortcut", f"{diffusers}.conv_shortcut")] if shortcut else pairs
