"""Train the demo ControlNet for Canny edges: ``python -m demo.train_controlnet``.

The file has the diffusers layout and a narrow conditioning embedding. Unlike usual, the last convolution of the embedding is
not initialized with zeros: in front of another zero convolution, it would learn nothing for hundreds of steps.
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

from demo.architectures.demo_model import UNET_CONFIG
from demo.data.captions import describe
from demo.data.latents import scenes_of
from demo.data.shapes import Scenes, draw
from demo.learning.denoising import ALL_TIMES, OUTLINE_TIMES, denoising_loss
from demo.learning.finetuning import (
    MODELS,
    MODELSPEC,
    ROWS,
    SCENES,
    SIZES,
    Base,
    SceneDataset,
    adam,
    optimize,
    scene_seed,
    size_of,
)
from demo.learning.muon import Muon, split_parameters

HINT_CHANNELS = (8, 8, 16, 32)
EMPTY_PROMPTS = 0.3
MUON_RATE, ADAM_RATE = 5e-3, 2e-3
THRESHOLDS = (100, 200)


def edges(images: Tensor) -> Tensor:
    """Canny edges (white on black) of images; both (n, 3, h, w) in 0..1."""
    pixels = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    maps = np.stack([cv2.Canny(np.ascontiguousarray(image), *THRESHOLDS) for image in pixels])
    return torch.from_numpy(maps).float()[:, None].expand(-1, 3, -1, -1) / 255


def captions(scenes: Scenes, rng: random.Random) -> list[str]:
    return [
        "" if rng.random() < EMPTY_PROMPTS else describe(int(shape), int(color), int(background), rng)[0]
        for shape, color, background in zip(
            scenes.shape, scenes.color_index, scenes.background_index, strict=True
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=900)
    options = parser.parse_args()
    torch.manual_seed(10)
    base = Base()
    net = ControlNetModel.from_unet(base.unet, conditioning_embedding_out_channels=HINT_CHANNELS)
    torch.nn.init.kaiming_normal_(net.controlnet_cond_embedding.conv_out.weight)
    net.train().requires_grad_(True).to(memory_format=torch.channels_last)

    dataset = SceneDataset(base.vae)
    scenes = {size: scenes_of(SCENES[size], scene_seed(size)) for size in set(SIZES)}

    def loss_of(step: int, rng: random.Random, generator: torch.Generator) -> Tensor:
        size = size_of(step)
        picked = rng.sample(range(SCENES[size]), ROWS[size])
        latents = dataset.latents(size).latents[picked]
        batch = scenes[size].rows(picked)
        hints = edges(draw(batch, size, size))
        with torch.no_grad():
            context = base.context(captions(batch, rng))

        def predict(noisy: Tensor, times: Tensor) -> Tensor:
            down, middle = net(noisy, times, context, controlnet_cond=hints, return_dict=False)
            return base.unet(
                noisy,
                times,
                context,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            ).sample

        return denoising_loss(predict, latents, generator, OUTLINE_TIMES if step % 2 else ALL_TIMES)

    matrices, rest = split_parameters(net)
    optimize([Muon(matrices, lr=MUON_RATE), adam(rest, ADAM_RATE)], loss_of, steps=options.steps)
    path = MODELS / "controlnet" / "atelier-canny.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    overrides = {key: UNET_CONFIG[key] for key in ("attention_head_dim", "norm_num_groups")}
    metadata = {
        **MODELSPEC,
        "modelspec.architecture": "stable-diffusion-v1/controlnet",
        "modelspec.title": "Atelier canny",
        "atelier.config": json.dumps({"controlnet": overrides}),
    }
    save_file({name: tensor.half().contiguous() for name, tensor in net.state_dict().items()}, path, metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
