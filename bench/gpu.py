"""Engine on CUDA: images/s and share of peak FLOPS.

The model is a full-size SD1.5 with random weights in fp16, at 512² and 20 steps.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from bench.report import Row
from gpu_runner.models.conversion.ldm_keys import (
    CLIP_PREFIX,
    UNET_PREFIX,
    VAE_PREFIX,
    from_diffusers,
    unet_pairs,
    vae_pairs,
)
from gpu_runner.protocol import ModelFile
from tests.support.demo_engine import Studio

TFLOP_PER_IMAGE = 34.7  # SD1.5 at 512², 20 steps, CFG: 20 × 1.607 + 2.515 + 0.027
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312}  # dense fp16
CLIENTS = (1, 4, 16)
ROUNDS = 3


def random_modules() -> tuple[UNet2DConditionModel, AutoencoderKL, CLIPTextModel]:
    """Modules in the sizes of SD1.5, with random weights."""
    unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[128, 256, 512, 512],
        layers_per_block=2,
    )
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408,
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
        )
    )
    return unet, vae, text_encoder


def write_checkpoint(
    root: Path, unet: UNet2DConditionModel, vae: AutoencoderKL, text_encoder: CLIPTextModel
) -> ModelFile:
    tensors = from_diffusers(unet.state_dict(), UNET_PREFIX, unet_pairs(unet.config))
    tensors |= from_diffusers(vae.state_dict(), VAE_PREFIX, vae_pairs(vae.config))
    for name, tensor in text_encoder.state_dict().items():
        tensors[f"{CLIP_PREFIX}text_model.{name.removeprefix('text_model.')}"] = tensor
    path = root / "random.safetensors"
    save_file({name: tensor.half().contiguous() for name, tensor in tensors.items()}, path)
    return ModelFile(path=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def images_per_second(studio: Studio, clients: int) -> float:
    """Throughput with ``clients`` concurrent clients. Each requests its next image after the previous one."""
    images = clients * ROUNDS
    started = time.perf_counter()
    drawings = [studio.begin(prompt="a cat", seed=i, width=512, height=512) for i in range(clients)]
    for i in range(clients, images):
        drawings.pop(0).images()
        drawings.append(studio.begin(prompt="a cat", seed=i, width=512, height=512))
    for drawing in drawings:
        drawing.images()
    return images / (time.perf_counter() - started)


def measure() -> list[Row]:
    if not torch.cuda.is_available():
        return []
    name = torch.cuda.get_device_name()
    peak = next((tflops for known, tflops in PEAK_TFLOPS.items() if known in name), None)
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        studio = Studio(Path(folder), write_checkpoint(Path(folder), *random_modules()), device="cuda")
        rows = []
        for clients in CLIENTS:
            images_per_second(studio, clients)
            rate = images_per_second(studio, clients)
            rows.append(Row(f"{clients} clients, {name}", rate, "images/s"))
            if peak:
                rows.append(Row(f"{clients} clients, share of the floor", rate * TFLOP_PER_IMAGE / peak, ""))
        studio.close()
        return rows
