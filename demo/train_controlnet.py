"""Train the demo ControlNet: ``python -m demo.train_controlnet``. Canny edges say where the shape is.

Written in diffusers' layout, with a hint encoder narrower than usual.
"""

from __future__ import annotations

import argparse
import json
import random

import cv2
import numpy as np
import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file
from torch import Tensor

from demo.architecture import UNET_CONFIG
from demo.captions import describe
from demo.denoising import ALL_TIMES, PLANNING, denoising_loss
from demo.finetuning import MODELS, MODELSPEC, ROWS, SIZES, Base, optimise
from demo.shapes import draw, random_scenes

HINT_CHANNELS = (8, 8, 16, 32)
EMPTY_PROMPTS = 0.3
THRESHOLDS = (100, 200)


def edges(pictures: Tensor) -> Tensor:
    """(n, 3, h, w) in 0..1 of pictures (n, 3, h, w) in 0..1: white lines on black."""
    pixels = (pictures * 255).round().byte().permute(0, 2, 3, 1).numpy()
    maps = np.stack([cv2.Canny(np.ascontiguousarray(picture), *THRESHOLDS) for picture in pixels])
    return torch.from_numpy(maps).float()[:, None].expand(-1, 3, -1, -1) / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=900)
    options = parser.parse_args()
    torch.manual_seed(10)
    base = Base()
    net = ControlNetModel.from_unet(base.unet, conditioning_embedding_out_channels=HINT_CHANNELS)
    net.train().requires_grad_(True).to(memory_format=torch.channels_last)

    def loss_of(step: int, rng: random.Random, generator: torch.Generator) -> Tensor:
        height, width = SIZES[step % len(SIZES)]
        scenes = random_scenes(ROWS[height], generator)
        pictures = draw(scenes, height, width)
        with torch.no_grad():
            latents = base.vae.encode(pictures * 2 - 1).latent_dist.mean * base.vae.config.scaling_factor
            context = base.context(_captions(scenes, rng))
        hints = edges(pictures)

        def predict(noisy: Tensor, times: Tensor) -> Tensor:
            down, middle = net(noisy, times, context, controlnet_cond=hints, return_dict=False)
            return base.unet(
                noisy,
                times,
                context,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            ).sample

        return denoising_loss(predict, latents, generator, PLANNING if step % 2 else ALL_TIMES)

    optimise(net.parameters(), loss_of, steps=options.steps, rate=1.5e-3)
    path = MODELS / "controlnet" / "atelier-canny.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {key: UNET_CONFIG[key] for key in ("attention_head_dim", "norm_num_groups")}
    metadata = {
        **MODELSPEC,
        "modelspec.architecture": "stable-diffusion-v1/controlnet",
        "modelspec.title": "Atelier canny",
        "atelier.config": json.dumps({"controlnet": told}),
    }
    save_file({name: tensor.half().contiguous() for name, tensor in net.state_dict().items()}, path, metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def _captions(scenes, rng: random.Random) -> list[str]:  # type: ignore[no-untyped-def]
    return [
        "" if rng.random() < EMPTY_PROMPTS else describe(int(shape), int(colour), int(background), rng)[0]
        for shape, colour, background in zip(
            scenes.shape, scenes.colour_index, scenes.background_index, strict=True
        )
    ]


if __name__ == "__main__":
    main()
