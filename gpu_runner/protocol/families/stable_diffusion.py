"""Stable Diffusion 1.x, 2.x and XL: diffusion models with a UNet and CLIP."""

from __future__ import annotations

from .family import Defaults, Family, Feature, Latents, TextPart

FEATURES: frozenset[Feature] = frozenset(
    {
        "clip_skip",
        "controlnet",
        "emphasis",
        "image_guidance",
        "lora",
        "magic_mix",
        "refiner",
        "textual_inversion",
        "tiling",
    }
)

SD15 = Family(
    name="sd15",
    label="Stable Diffusion 1.x",
    latents=Latents("sd", 4, scaling_factor=0.18215),
    text=(TextPart("clip_l", 77),),
    features=FEATURES,
    defaults=Defaults(side=512),
)
SD2 = Family(
    name="sd2",
    label="Stable Diffusion 2.x",
    latents=Latents("sd", 4, scaling_factor=0.18215),
    text=(TextPart("clip_g", 77),),  # loaded without its last layer
    features=FEATURES,
    defaults=Defaults(side=768),
)
SDXL = Family(
    name="sdxl",
    label="Stable Diffusion XL",
    latents=Latents("sdxl", 4, scaling_factor=0.13025),
    text=(TextPart("clip_l", 77, penultimate=True), TextPart("clip_g", 77, penultimate=True)),
    features=FEATURES,
    defaults=Defaults(side=1024),
)
