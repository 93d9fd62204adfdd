"""Shapes of the weights of UNets, ControlNets and CLIP text encoders, by their configurations. No torch.

With them the scan finds a checkpoint whose tensors have other shapes than its network, and admission a LoRA whose
tensors do not fit a checkpoint. Names are those of diffusers and transformers. tests compare them with the networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from .ldm_modules import per_level
from .safetensors_header import Shape

Named = tuple[str, Shape]
Config = Mapping[str, Any]

HINT_KERNEL = 3


def unet_weights(config: Config) -> dict[str, Shape]:
    """Shapes of the weights of a UNet2DConditionModel, by module."""
    widths = list(config["block_out_channels"])
    weights = dict(_encoder(config))
    skips = _skips(config)
    depths = per_level(config.get("transformer_layers_per_block", 1), len(widths))
    width = widths[-1]
    for up, level in enumerate(reversed(range(len(widths)))):
        has_attention = config["up_block_types"][up] == "CrossAttnUpBlock2D"
        for layer in range(config["layers_per_block"] + 1):
            name = f"up_blocks.{up}"
            weights |= _resnet(f"{name}.resnets.{layer}", width + skips.pop(), widths[level], 4 * widths[0])
            width = widths[level]
            if has_attention:
                weights |= _attention(f"{name}.attentions.{layer}", width, depths[level], config)
        if level > 0:
            weights[f"up_blocks.{up}.upsamplers.0.conv"] = (width, width, 3, 3)
    first = widths[0]
    return weights | {"conv_norm_out": (first,), "conv_out": (config["out_channels"], first, 3, 3)}


def controlnet_weights(config: Config) -> dict[str, Shape]:
    """Shapes of the weights of a ControlNetModel, by module."""
    hints = list(config["conditioning_embedding_out_channels"])
    weights = dict(_encoder(config))
    name, first = "controlnet_cond_embedding", config["block_out_channels"][0]
    weights[f"{name}.conv_in"] = (hints[0], config["conditioning_channels"], 3, 3)
    for index, (inputs, outputs) in enumerate(pairwise(hints)):
        weights[f"{name}.blocks.{2 * index}"] = (inputs, inputs, 3, 3)
        weights[f"{name}.blocks.{2 * index + 1}"] = (outputs, inputs, 3, 3)
    weights[f"{name}.conv_out"] = (first, hints[-1], HINT_KERNEL, HINT_KERNEL)
    for index, width in enumerate(_skips(config)):
        weights[f"controlnet_down_blocks.{index}"] = (width, width, 1, 1)
    last = config["block_out_channels"][-1]
    return weights | {"controlnet_mid_block": (last, last, 1, 1)}


def clip_weights(config: Config) -> dict[str, Shape]:
    """Shapes of the weights of a CLIP text encoder, by module, without those of its embeddings."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    weights: dict[str, Shape] = {"final_layer_norm": (width,)}
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layers.{layer}"
        weights |= {f"{name}.self_attn.{part}": (width, width) for part in PROJECTIONS}
        weights |= {f"{name}.mlp.fc1": (inner, width), f"{name}.mlp.fc2": (width, inner)}
        weights |= {f"{name}.layer_norm{number}": (width,) for number in (1, 2)}
    return weights


PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")


def _skips(config: Config) -> list[int]:
    """Channels of the down blocks' outputs, which the up blocks and a ControlNet continue."""
    widths = list(config["block_out_channels"])
    skips = [widths[0]]
    for level, width in enumerate(widths):
        skips += [width] * (config["layers_per_block"] + (level + 1 < len(widths)))
    return skips


def _encoder(config: Config) -> Iterator[Named]:
    """Embeddings, down blocks and middle block, which UNet and ControlNet share."""
    widths = list(config["block_out_channels"])
    levels, first = len(widths), widths[0]
    time = 4 * first
    depths = per_level(config.get("transformer_layers_per_block", 1), levels)
    yield "conv_in", (first, config["in_channels"], 3, 3)
    yield "time_embedding.linear_1", (time, first)
    yield "time_embedding.linear_2", (time, time)
    if config.get("addition_embed_type"):
        yield "add_embedding.linear_1", (time, config["projection_class_embeddings_input_dim"])
        yield "add_embedding.linear_2", (time, time)
    width = first
    for level in range(levels):
        name = f"down_blocks.{level}"
        for layer in range(config["layers_per_block"]):
            yield from _resnet(f"{name}.resnets.{layer}", width, widths[level], time).items()
            width = widths[level]
            if config["down_block_types"][level] == "CrossAttnDownBlock2D":
                yield from _attention(f"{name}.attentions.{layer}", width, depths[level], config).items()
        if level + 1 < levels:
            yield f"{name}.downsamplers.0.conv", (width, width, 3, 3)
    yield from _attention("mid_block.attentions.0", width, depths[-1], config).items()
    for number in (0, 1):
        yield from _resnet(f"mid_block.resnets.{number}", width, width, time).items()


def _resnet(name: str, inputs: int, outputs: int, time: int) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {
        f"{name}.norm1": (inputs,),
        f"{name}.conv1": (outputs, inputs, 3, 3),
        f"{name}.time_emb_proj": (outputs, time),
        f"{name}.norm2": (outputs,),
        f"{name}.conv2": (outputs, outputs, 3, 3),
    }
    return shapes | ({f"{name}.conv_shortcut": (outputs, inputs, 1, 1)} if inputs != outputs else {})


def _attention(name: str, width: int, depth: int, config: Config) -> dict[str, Shape]:
    context = config["cross_attention_dim"]
    projection = (width, width) if config["use_linear_projection"] else (width, width, 1, 1)
    shapes: dict[str, Shape] = {
        f"{name}.norm": (width,),
        f"{name}.proj_in": projection,
        f"{name}.proj_out": projection,
    }
    for block in range(depth):
        inner = f"{name}.transformer_blocks.{block}"
        shapes |= {f"{inner}.norm{number}": (width,) for number in (1, 2, 3)}
        shapes |= {f"{inner}.ff.net.0.proj": (8 * width, width), f"{inner}.ff.net.2": (width, 4 * width)}
        for number, inputs in ((1, width), (2, context)):
            shapes |= {
                f"{inner}.attn{number}.to_q": (width, width),
                f"{inner}.attn{number}.to_k": (width, inputs),
                f"{inner}.attn{number}.to_v": (width, inputs),
                f"{inner}.attn{number}.to_out.0": (width, width),
            }
    return shapes


def vae_weights(config: Config) -> dict[str, Shape]:
    """Shapes of the weights of an AutoencoderKL, by module."""
    widths, latents = list(config["block_out_channels"]), config["latent_channels"]
    levels, layers, last = len(widths), config["layers_per_block"], widths[-1]
    weights: dict[str, Shape] = {
        "encoder.conv_in": (widths[0], config["in_channels"], 3, 3),
        "encoder.conv_norm_out": (last,),
        "encoder.conv_out": (2 * latents, last, 3, 3),
        "quant_conv": (2 * latents, 2 * latents, 1, 1),
        "post_quant_conv": (latents, latents, 1, 1),
        "decoder.conv_in": (last, latents, 3, 3),
        "decoder.conv_norm_out": (widths[0],),
        "decoder.conv_out": (config["out_channels"], widths[0], 3, 3),
    }
    for side in ("encoder", "decoder"):
        for number in (0, 1):
            weights |= _vae_resnet(f"{side}.mid_block.resnets.{number}", last, last)
        attention = f"{side}.mid_block.attentions.0"
        weights |= {f"{attention}.{part}": (last, last) for part in ("to_q", "to_k", "to_v", "to_out.0")}
        weights[f"{attention}.group_norm"] = (last,)
    width = widths[0]
    for level in range(levels):
        name = f"encoder.down_blocks.{level}"
        for layer in range(layers):
            weights |= _vae_resnet(f"{name}.resnets.{layer}", width, widths[level])
            width = widths[level]
        if level + 1 < levels:
            weights[f"{name}.downsamplers.0.conv"] = (width, width, 3, 3)
    for up, level in enumerate(reversed(range(levels))):
        name = f"decoder.up_blocks.{up}"
        for layer in range(layers + 1):
            weights |= _vae_resnet(f"{name}.resnets.{layer}", width, widths[level])
            width = widths[level]
        if level > 0:
            weights[f"{name}.upsamplers.0.conv"] = (width, width, 3, 3)
    return weights


def _vae_resnet(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    shapes = _resnet(name, inputs, outputs, 0)
    del shapes[f"{name}.time_emb_proj"]
    return shapes
