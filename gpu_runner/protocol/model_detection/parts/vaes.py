"""Which latents a VAE makes, and so which families it fits, from its tensors. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gpu_runner.protocol.model_detection.storage.tensor_header import Shape

Shapes = Mapping[str, Shape]
PREFIXES = ("", "first_stage_model.", "vae.")
STABLE_DIFFUSION = ("sd15", "sd2", "sdxl")
# The VAEs of FLUX.1 and Stable Diffusion 3 have the same tensors, with other values.
SIXTEEN_CHANNELS = ("sd3", "flux1", "chroma", "z_image")
QWEN_IMAGE = ("qwen_image",)
Layout = Literal["ldm", "diffusers", "wan"]


@dataclass(frozen=True)
class FoundVae:
    """``families``: those whose latents have these shapes; empty for latents that no family has."""

    prefix: str
    layout: Layout
    latent_channels: int
    families: tuple[str, ...]
    is_video: bool = False  # three-dimensional convolutions


def find_vae(shapes: Shapes) -> FoundVae | None:
    """The VAE of a file, or None. An autoencoder needs both sides."""
    for prefix in PREFIXES:
        if found := _autoencoder_kl(shapes, prefix) or _three_dimensional(shapes, prefix):
            return found
    return None


def with_outer_convolutions(shapes: Shapes) -> Shapes:
    """Shapes of a VAE under the usual names of the two convolutions between its halves."""
    return {outer_convolution(name): shape for name, shape in shapes.items()}


def outer_convolution(name: str) -> str:
    """The usual name of a tensor: the authors of FLUX.2 have the two convolutions inside the halves."""
    for inner, outer in (
        ("encoder.quant_conv.", "quant_conv."),
        ("decoder.post_quant_conv.", "post_quant_conv."),
    ):
        if name.startswith(inner):
            return outer + name.removeprefix(inner)
    return name


def _autoencoder_kl(shapes: Shapes, prefix: str) -> FoundVae | None:
    decoder = shapes.get(f"{prefix}decoder.conv_in.weight", ())
    if len(decoder) != 4 or f"{prefix}encoder.conv_in.weight" not in shapes:
        return None
    layout: Layout = "ldm" if f"{prefix}decoder.mid.block_1.conv1.weight" in shapes else "diffusers"
    has_statistics = f"{prefix}bn.running_mean" in shapes
    families: tuple[str, ...] = ()
    if decoder[1] == 4:
        families = STABLE_DIFFUSION
    elif decoder[1] == 16:
        families = SIXTEEN_CHANNELS
    elif decoder[1] == 32 and has_statistics:
        families = ("flux2",)
    return FoundVae(prefix, layout, decoder[1], families)


def _three_dimensional(shapes: Shapes, prefix: str) -> FoundVae | None:
    """The causal video VAE of Wan 2.1, which Qwen-Image has with other weights, in Wan's names or those of diffusers."""
    names: tuple[tuple[Layout, str, str], ...] = (
        ("wan", "decoder.conv1.weight", "decoder.middle.0.residual.0.gamma"),
        ("diffusers", "decoder.conv_in.weight", "decoder.mid_block.resnets.0.norm1.gamma"),
    )
    for layout, first, mark in names:
        decoder = shapes.get(f"{prefix}{first}", ())
        if len(decoder) == 5 and f"{prefix}{mark}" in shapes:
            families = QWEN_IMAGE if decoder[1] == 16 else ()
            return FoundVae(prefix, layout, decoder[1], families, is_video=True)
    return None


# Levels of the encoder and decoder, each with its blocks, in the names of Wan and of diffusers.
NEEDED: dict[str, tuple[str, ...]] = {
    "wan": (
        *(
            "conv1.weight",
            "conv2.weight",
            "encoder.conv1.weight",
            "encoder.head.2.weight",
            "decoder.head.2.weight",
        ),
        *(f"encoder.downsamples.{number}.residual.2.weight" for number in (0, 1, 3, 4, 6, 7, 9, 10)),
        *(
            f"decoder.upsamples.{number}.residual.2.weight"
            for number in (0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14)
        ),
        *(f"{side}.middle.1.to_qkv.weight" for side in ("encoder", "decoder")),
    ),
    "diffusers": (
        *("quant_conv.weight", "post_quant_conv.weight", "encoder.conv_in.weight"),
        *("encoder.conv_out.weight", "decoder.conv_out.weight"),
        *(f"encoder.down_blocks.{number}.conv1.weight" for number in (0, 1, 3, 4, 6, 7, 9, 10)),
        *(f"decoder.up_blocks.{up}.resnets.{n}.conv1.weight" for up in range(4) for n in range(3)),
        *(f"{side}.mid_block.attentions.0.to_qkv.weight" for side in ("encoder", "decoder")),
    ),
}


def three_dimensional_problem(shapes: Shapes, prefix: str) -> str:
    """Why the VAE of Qwen-Image cannot be loaded; empty if it can."""
    found = _three_dimensional(shapes, prefix)
    layout = "diffusers" if found is None else found.layout
    missing = next((name for name in NEEDED[layout] if f"{prefix}{name}" not in shapes), "")
    if missing:
        return f"missing tensor {missing}"
    first = shapes[f"{prefix}{'encoder.conv1.weight' if layout == 'wan' else 'encoder.conv_in.weight'}"]
    return f"it must read RGB images (got {first[1]} channels)" if first[1] != 3 else ""
