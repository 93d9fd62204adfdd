"""Shared code for fine-tuning models derived from the demo checkpoint: the base model, training batches, and the loop."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel

from demo.architectures.demo_model import new_unet
from demo.data.latents import LatentSet, latent_set, white_vae
from demo.data.looks import PLAIN, Look
from demo.export import averaged_unet_state
from demo.learning import checkpointing
from demo.learning.denoising import ALL_TIMES, OUTLINE_TIMES, denoising_loss
from demo.train_text_encoder import token_ids, trained_text_encoder
from demo.train_unet import draw_batch

MODELS = Path(__file__).parents[1] / "models"
MODELSPEC = {
    "format": "pt",
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.author": "Atelier",
    "modelspec.license": "Apache-2.0",
}
SIZES = (128, 256, 256)  # side in pixels, per step, cyclically
SCENES = {128: 1500, 256: 800}
ROWS = {128: 24, 256: 8}


def size_of(step: int) -> int:
    return SIZES[step % len(SIZES)]


def scene_seed(size: int) -> int:
    return 7 * size


LossOf = Callable[[int, random.Random, torch.Generator], Tensor]


class Base:
    """The trained demo checkpoint, frozen."""

    def __init__(self) -> None:
        self.vae: AutoencoderKL = white_vae()
        self.text_encoder: CLIPTextModel = trained_text_encoder()
        self.unet: UNet2DConditionModel = new_unet()
        self.unet.load_state_dict(averaged_unet_state())
        self.unet.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def context(self, texts: list[str]) -> Tensor:
        return self.text_encoder(token_ids(texts)).last_hidden_state


class SceneDataset:
    """Batches of latents with their prompts, drawn in one look at the sizes in SIZES."""

    def __init__(self, vae: AutoencoderKL, look: Look = PLAIN) -> None:
        self._vae, self._look = vae, look
        self._sets: dict[int, LatentSet] = {}

    def latents(self, size: int) -> LatentSet:
        if size not in self._sets:
            self._sets[size] = latent_set(
                self._vae, SCENES[size], size, size, seed=scene_seed(size), look=self._look
            )
        return self._sets[size]

    def batch(self, step: int, rng: random.Random) -> tuple[Tensor, list[str]]:
        size = size_of(step)
        return draw_batch(self.latents(size), ROWS[size], rng)


def scene_loss(base: Base, dataset: SceneDataset) -> LossOf:
    """Loss of the base model's UNet, including its adapters. Every second step uses OUTLINE_TIMES only."""

    def loss_of(step: int, rng: random.Random, generator: torch.Generator) -> Tensor:
        latents, texts = dataset.batch(step, rng)
        context = base.context(texts)
        return denoising_loss(
            lambda noisy, times: base.unet(noisy, times, context).sample,
            latents,
            generator,
            OUTLINE_TIMES if step % 2 else ALL_TIMES,
        )

    return loss_of


def optimize(
    optimizers: Sequence[torch.optim.Optimizer], loss_of: LossOf, *, steps: int, seed: int = 5
) -> None:
    """Run the training loop. Each optimizer has a cosine schedule from its own learning rate.

    ``loss_of`` gets the step and random generators that are seeded per step.
    """
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    peaks = [group["lr"] for group in groups]
    running_loss = None
    for step, share in checkpointing.steps_from(0, steps):
        step_seed = seed * 1_000_003 + step
        loss = loss_of(step, random.Random(step_seed), torch.Generator().manual_seed(step_seed))
        for group, peak in zip(groups, peaks, strict=True):
            group["lr"] = peak * share
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        running_loss = loss.item() if running_loss is None else 0.95 * running_loss + 0.05 * loss.item()
        if step % 50 == 0 or step + 1 == steps:
            print(f"{step} {running_loss:.4f}", flush=True)


def adam(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
