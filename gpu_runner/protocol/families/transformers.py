"""Families of diffusion transformers trained by flow matching.

Timestep conventions, shifts and windows are those of the reference pipelines in diffusers 0.42.
"""

from __future__ import annotations

from dataclasses import replace

from .family import Defaults, Family, Flow, Latents, Shift, TextPart
from .flow_sampling import SAMPLERS

SIXTEEN_CHANNELS = Latents("flux", 16, patch=2, scaling_factor=0.3611, shift_factor=0.1159)
TOKENS_TO_MU = ((256, 0.5), (4096, 1.15))
UNIFORM_FIRST = ("SGM Uniform", "Simple", "Normal", "Beta", "Karras")

SD3 = Family(
    name="sd3",
    parameters=2.5e9,
    label="Stable Diffusion 3.x",
    # As in ComfyUI, the context of a file without CLIP-G has zeros in its place, and one without T5 is that of CLIP alone.
    text=(
        TextPart("clip_l", 77, penultimate=True),
        TextPart("clip_g", 77, optional=True, penultimate=True),
        TextPart("t5_xxl", 256, optional=True),
    ),
    latents=Latents("sd3", 16, patch=2, scaling_factor=1.5305, shift_factor=0.0609),
    flow=Flow("1000t", Shift(3.0)),
    features=frozenset({"controlnet", "emphasis", "lora"}),
    samplers=SAMPLERS,
    schedulers=("Normal", "Simple", "SGM Uniform", "Beta", "Karras"),
    defaults=Defaults(steps=28, guidance=4.5, side=1024),
)
Z_IMAGE = Family(
    name="z_image",
    parameters=6.2e9,
    label="Z-Image",
    text=(TextPart("qwen3_4b", 512, padded=False),),
    latents=SIXTEEN_CHANNELS,
    flow=Flow("1-t", Shift(3.0)),
    features=frozenset({"controlnet", "lora"}),
    samplers=SAMPLERS,
    schedulers=UNIFORM_FIRST,
    defaults=Defaults(steps=8, guidance=1.0, side=1024),
)
FLUX1 = Family(
    name="flux1",
    parameters=11.9e9,
    label="FLUX.1",
    text=(TextPart("clip_l", 77), TextPart("t5_xxl", 512)),
    latents=SIXTEEN_CHANNELS,
    flow=Flow("t", Shift(line=TOKENS_TO_MU)),
    guidance="embedded",
    features=frozenset({"controlnet", "emphasis", "lora"}),
    samplers=SAMPLERS,
    schedulers=UNIFORM_FIRST,
    defaults=Defaults(steps=20, guidance=3.5, side=1024),
)
FLUX1_SCHNELL = replace(
    FLUX1,
    label="FLUX.1 schnell",
    text=(TextPart("clip_l", 77), TextPart("t5_xxl", 256)),
    flow=Flow("t", Shift()),
    guidance="none",
    defaults=Defaults(steps=4, guidance=1.0, side=1024),
)
# Defaults are those of their pipelines. Edges want a guidance of about 30 and depth one of 10; the tensors do not tell which.
FLUX1_FILL = replace(
    FLUX1,
    label="FLUX.1 Fill",
    features=FLUX1.features | {"fill"},
    defaults=Defaults(steps=50, guidance=30.0, side=1024),
)
FLUX1_CONTROL = replace(
    FLUX1,
    label="FLUX.1 Canny or Depth",
    features=FLUX1.features | {"control_image"},
    defaults=Defaults(steps=28, guidance=10.0, side=1024),
)
CHROMA = Family(
    name="chroma",
    parameters=8.9e9,
    label="Chroma",
    text=(TextPart("t5_xxl", 512, padded=False),),
    latents=SIXTEEN_CHANNELS,
    flow=Flow("t", Shift(line=TOKENS_TO_MU)),
    features=frozenset({"emphasis", "lora"}),
    samplers=SAMPLERS,
    schedulers=UNIFORM_FIRST,
    defaults=Defaults(steps=26, guidance=4.0, side=1024),
)
FLUX2 = Family(
    name="flux2",
    parameters=3.9e9,
    label="FLUX.2",
    text=(TextPart("qwen3_4b", 512, layers=(9, 18, 27)),),
    # Normalized by the statistics of the VAE's batch norm, after packing patches of 2 x 2 into channels.
    latents=Latents("flux2", 128, scale=16),
    flow=Flow("t", Shift(by_steps=((8.73809524e-05, 1.89833333), (0.00016927, 0.45666666)))),
    features=frozenset({"lora", "references"}),
    samplers=SAMPLERS,
    schedulers=UNIFORM_FIRST,
    defaults=Defaults(steps=4, guidance=1.0, side=1024),
)
QWEN_IMAGE = Family(
    name="qwen_image",
    parameters=20.4e9,
    label="Qwen-Image",
    text=(TextPart("qwen2_5_vl_7b", 1024, padded=False),),
    latents=Latents("qwen_image", 16, patch=2),  # normalized by a mean and a deviation per channel
    flow=Flow("t", Shift(line=((256, 0.5), (8192, 0.9)), terminal=0.02)),
    keeps_norm=True,
    features=frozenset({"controlnet", "lora"}),
    samplers=SAMPLERS,
    schedulers=UNIFORM_FIRST,
    defaults=Defaults(steps=20, guidance=4.0, side=1024),
)
