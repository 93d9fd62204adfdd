"""Steps of SD1.5, SDXL and Z-Image in full size with random weights, with compiled blocks and without.

Runs on a GPU. ``SMALLEST=1`` runs the same with tiny networks on a CPU, to check the benchmark itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, cast

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, ZImageTransformer2DModel
from torch import nn

from bench.compilation import speed_up, step_of
from bench.report import Row
from demo.architectures import demo_model as architecture
from gpu_runner.networks.compilation.regional import never_compile_in_steps
from gpu_runner.networks.compilation.warm_up import compile_and_warm_up
from gpu_runner.networks.loaded import LoadedCheckpoint
from tests.support.transformer_files import TINY

SMALLEST = os.environ.get("SMALLEST") == "1"
ROWS = (1, 2) if SMALLEST else (1, 4, 16)
PAIRS = 1 if SMALLEST else 20
SDXL: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD15: dict[str, Any] = {"cross_attention_dim": 768, "attention_head_dim": 8}
NETWORKS: dict[str, tuple[type[nn.Module], dict[str, Any], dict[str, Any]]] = {
    # family: class, arguments in full size, and the smallest ones
    "sd15": (UNet2DConditionModel, SD15, architecture.UNET_CONFIG),
    "sdxl": (
        UNet2DConditionModel,
        SDXL,
        SDXL
        | {
            "block_out_channels": (32, 32, 64),
            "attention_head_dim": (1, 2, 2),
            "transformer_layers_per_block": 1,
        },
    ),
    "z_image": (ZImageTransformer2DModel, {}, TINY["z_image"] | {"axes_lens": [1536, 512, 512]}),
}


def random_checkpoint(family: str, device: torch.device) -> LoadedCheckpoint:
    """The denoiser alone, with random weights made on the device."""
    build, full, smallest = NETWORKS[family]
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    with torch.device("meta"):
        network = build(**(smallest if SMALLEST else full)).to(dtype)
    network = network.to_empty(device=device).eval().requires_grad_(False)
    for tensor in [*network.parameters(), *network.buffers()]:
        tensor.normal_(std=0.02)
    if family != "z_image":
        network = network.to(memory_format=torch.channels_last)
    return LoadedCheckpoint(
        key=family,
        family=family,
        unet=network,
        vae=cast("AutoencoderKL", nn.Module()),
        text_encoder=cast("Any", nn.Module()),
        alphas_cumprod=None,
        prediction_type="epsilon",
        vae_scaling=1.0,
        size_bytes=0,
    )


def steps(device: torch.device) -> Iterator[Row]:
    for family in NETWORKS:
        checkpoint = random_checkpoint(family, device)
        side = 64 if SMALLEST else checkpoint.facts.defaults.side
        started = time.perf_counter()
        compile_and_warm_up(checkpoint)
        yield Row(f"{family}: warm-up", time.perf_counter() - started, "s")
        for rows in ROWS:
            label = f"{family}, {rows} rows at {side}²"
            step = step_of(checkpoint, side, rows)
            for mode, compiled in (("eager", False), ("compiled", True)):
                step(compiled)
                yield Row(f"{label}, {mode}", min(step(compiled) for _ in range(PAIRS)) * 1000, "ms/step")
            yield Row(f"{label}: eager against compiled", speed_up(checkpoint, side, rows, PAIRS), "×")


def measure() -> list[Row]:
    if not torch.cuda.is_available() and not SMALLEST:
        return []
    never_compile_in_steps()
    return list(steps(torch.device("cpu" if SMALLEST else "cuda")))
