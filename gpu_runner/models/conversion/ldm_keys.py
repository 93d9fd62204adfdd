"""Names of the same tensor in the LDM layout of single-file checkpoints and in diffusers.

Each function lists pairs of module names (LDM, diffusers) for a configuration of any width and depth; a tensor's name is
a module's name and ``.weight`` or ``.bias``. The pairs serve both ways: loading a single file, and writing one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

Pair = tuple[str, str]

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
CLIP_PREFIX = "cond_stage_model.transformer."


def _resnet(ldm: str, ours: str, shortcut: bool) -> list[Pair]:
    pairs = [
        (f"{ldm}.in_layers.0", f"{ours}.norm1"),
        (f"{ldm}.in_layers.2", f"{ours}.conv1"),
        (f"{ldm}.emb_layers.1", f"{ours}.time_emb_proj"),
        (f"{ldm}.out_layers.0", f"{ours}.norm2"),
        (f"{ldm}.out_layers.3", f"{ours}.conv2"),
    ]
    return [*pairs, (f"{ldm}.skip_connection", f"{ours}.conv_shortcut")] if shortcut else pairs


def _attention(ldm: str, ours: str, depth: int) -> list[Pair]:
    names = ["norm", "proj_in", "proj_out"]
    for block in range(depth):
        inner = [f"norm{i}" for i in (1, 2, 3)] + ["ff.net.0.proj", "ff.net.2"]
        inner += [f"attn{i}.{part}" for i in (1, 2) for part in ("to_q", "to_k", "to_v", "to_out.0")]
        names += [f"transformer_blocks.{block}.{name}" for name in inner]
    return [(f"{ldm}.{name}", f"{ours}.{name}") for name in names]


def _per_level(value: int | Sequence[int], levels: int) -> list[int]:
    return [value] * levels if isinstance(value, int) else list(value)


def _unet_encoder_pairs(config: Mapping[str, Any]) -> list[Pair]:
    """The UNet's inward half and its middle, which a ControlNet has too."""
    widths = list(config["block_out_channels"])
    levels = len(widths)
    resnets = config["layers_per_block"]
    depths = _per_level(config.get("transformer_layers_per_block", 1), levels)
    pairs = [
        ("time_embed.0", "time_embedding.linear_1"),
        ("time_embed.2", "time_embedding.linear_2"),
        ("input_blocks.0.0", "conv_in"),
    ]
    if config.get("addition_embed_type"):
        pairs += [("label_emb.0.0", "add_embedding.linear_1"), ("label_emb.0.2", "add_embedding.linear_2")]
    block, width = 1, widths[0]
    for level in range(levels):
        attends = config["down_block_types"][level] == "CrossAttnDownBlock2D"
        for layer in range(resnets):
            ldm, ours = f"input_blocks.{block}", f"down_blocks.{level}"
            pairs += _resnet(f"{ldm}.0", f"{ours}.resnets.{layer}", width != widths[level])
            width = widths[level]
            if attends:
                pairs += _attention(f"{ldm}.1", f"{ours}.attentions.{layer}", depths[level])
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
    depths = _per_level(config.get("transformer_layers_per_block", 1), levels)
    pairs = [*_unet_encoder_pairs(config), ("out.0", "conv_norm_out"), ("out.2", "conv_out")]
    block = 0
    for up, level in enumerate(reversed(range(levels))):
        attends = config["up_block_types"][up] == "CrossAttnUpBlock2D"
        for layer in range(resnets + 1):
            ldm, ours = f"output_blocks.{block}", f"up_blocks.{up}"
            pairs += _resnet(f"{ldm}.0", f"{ours}.resnets.{layer}", True)
            if attends:
                pairs += _attention(f"{ldm}.1", f"{ours}.attentions.{layer}", depths[level])
            if layer == resnets and level > 0:
                place = 2 if attends else 1
                pairs.append((f"{ldm}.{place}.conv", f"{ours}.upsamplers.0.conv"))
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
    """Pairs for an AutoencoderKL's config. LDM numbers the decoder's levels from the widest picture inwards."""
    widths = list(config["block_out_channels"])
    levels = len(widths)
    resnets = config["layers_per_block"]
    pairs = [("quant_conv", "quant_conv"), ("post_quant_conv", "post_quant_conv")]
    for side in ("encoder", "decoder"):
        pairs += [
            (f"{side}.conv_in", f"{side}.conv_in"),
            (f"{side}.conv_out", f"{side}.conv_out"),
            (f"{side}.norm_out", f"{side}.conv_norm_out"),
        ]
        for i in (0, 1):
            pairs += _vae_resnet(f"{side}.mid.block_{i + 1}", f"{side}.mid_block.resnets.{i}", False)
        for ldm, ours in (
            ("norm", "group_norm"),
            ("q", "to_q"),
            ("k", "to_k"),
            ("v", "to_v"),
            ("proj_out", "to_out.0"),
        ):
            pairs.append((f"{side}.mid.attn_1.{ldm}", f"{side}.mid_block.attentions.0.{ours}"))
    width = widths[0]
    for level in range(levels):
        for layer in range(resnets):
            ldm, ours = f"encoder.down.{level}.block.{layer}", f"encoder.down_blocks.{level}.resnets.{layer}"
            pairs += _vae_resnet(ldm, ours, width != widths[level])
            width = widths[level]
        if level + 1 < levels:
            pairs.append(
                (f"encoder.down.{level}.downsample.conv", f"encoder.down_blocks.{level}.downsamplers.0.conv")
            )
    for up, level in enumerate(reversed(range(levels))):
        for layer in range(resnets + 1):
            ldm, ours = f"decoder.up.{level}.block.{layer}", f"decoder.up_blocks.{up}.resnets.{layer}"
            pairs += _vae_resnet(ldm, ours, width != widths[level])
            width = widths[level]
        if level > 0:
            pairs.append((f"decoder.up.{level}.upsample.conv", f"decoder.up_blocks.{up}.upsamplers.0.conv"))
    return pairs


def _vae_resnet(ldm: str, ours: str, shortcut: bool) -> list[Pair]:
    pairs = [(f"{ldm}.{name}", f"{ours}.{name}") for name in ("norm1", "conv1", "norm2", "conv2")]
    return [*pairs, (f"{ldm}.nin_shortcut", f"{ours}.conv_shortcut")] if shortcut else pairs


def reshaped(tensor: Tensor, like: Tensor | None) -> Tensor:
    """1x1 convolutions and linear layers are the same numbers; which of the two a file uses differs."""
    return tensor if like is None or tensor.numel() != like.numel() else tensor.reshape(like.shape)


def to_diffusers(
    state: Mapping[str, Tensor], prefix: str, pairs: Iterable[Pair], like: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors under ``prefix`` renamed and shaped as in ``like``. KeyError names a tensor that is missing."""
    result = {}
    for ldm, ours in pairs:
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in like:
                tensor = state[f"{prefix}{ldm}.{kind}"]
                result[f"{ours}.{kind}"] = reshaped(tensor, like[f"{ours}.{kind}"])
    return result


def from_diffusers(state: Mapping[str, Tensor], prefix: str, pairs: Iterable[Pair]) -> dict[str, Tensor]:
    """The inverse, for writing a single file. Attention projections of the VAE become 1x1 convolutions again."""
    result = {}
    for ldm, ours in pairs:
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in state:
                tensor = state[f"{ours}.{kind}"]
                if ".mid.attn_1." in ldm and tensor.ndim == 2:
                    tensor = tensor[:, :, None, None]
                result[f"{prefix}{ldm}.{kind}"] = tensor
    return result
