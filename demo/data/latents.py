"""Whitening of the autoencoder's latents, folded into its weights, and cached latents for training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from demo.architectures.demo_model import VAE_CONFIG, new_vae
from demo.data.looks import PLAIN, Look
from demo.data.shapes import Scenes, draw, random_scenes
from demo.learning import checkpointing

SCALING = VAE_CONFIG["scaling_factor"]
WHITE_VAE = checkpointing.RUNS / "vae_white.pt"


def averaged_vae() -> AutoencoderKL:
    state = checkpointing.load(checkpointing.RUNS / "vae.pt")
    if state is None:
        raise SystemExit("train the autoencoder first: python -m demo.train_vae")
    vae = new_vae()
    average = {key.removeprefix("module."): value for key, value in state["average"].items()}
    vae.load_state_dict({key: average[key] for key in vae.state_dict()})
    return vae.eval().requires_grad_(False)


def fold_whitening(vae: AutoencoderKL, images: Tensor) -> None:
    """Give the scaled latents mean 0 and covariance 1, by changing the two 1x1 convolutions around them.

    Stable Diffusion 1.x multiplies latents by 0.18215 for every autoencoder, so the unscaled latents need the standard
    deviation 1 / 0.18215. The posterior's standard deviation becomes a constant, its mean at the end of the training.
    """
    posterior = vae.encode(images).latent_dist
    flat = posterior.mean.permute(1, 0, 2, 3).flatten(1)
    mean = flat.mean(1)
    covariance = torch.cov(flat)
    values, vectors = torch.linalg.eigh(covariance)
    whiten = vectors @ torch.diag(values.rsqrt()) @ vectors.T / SCALING
    restore = torch.linalg.inv(whiten)
    noise = posterior.std.mean() * whiten.diagonal().mean()
    with torch.no_grad():
        quant, post = vae.quant_conv, vae.post_quant_conv
        quant.weight[:4] = torch.einsum("ij,jkhw->ikhw", whiten, quant.weight[:4])
        quant.bias[:4] = whiten @ (quant.bias[:4] - mean)
        quant.weight[4:] = 0
        quant.bias[4:] = 2 * math.log(noise.item())
        post.bias += post.weight[:, :, 0, 0] @ mean
        post.weight[:] = torch.einsum("ijhw,jk->ikhw", post.weight, restore)


def white_vae() -> AutoencoderKL:
    """The trained autoencoder with whitened latents; created and saved at the first call."""
    if state := checkpointing.load(WHITE_VAE):
        vae = new_vae().eval().requires_grad_(False)
        vae.load_state_dict(state)
        return vae
    vae = averaged_vae()
    scenes = random_scenes(256, torch.Generator().manual_seed(11))
    fold_whitening(vae, draw(scenes, 64, 64) * 2 - 1)
    checkpointing.save(WHITE_VAE, vae.state_dict())
    return vae


@dataclass
class LatentSet:
    """Scaled latents (n, 4, h, w) and the attributes of their scenes: indices into SHAPES and COLOR_NAMES."""

    latents: Tensor
    shape: Tensor
    color: Tensor
    background: Tensor

    def __len__(self) -> int:
        return len(self.latents)


def scenes_of(count: int, seed: int, look: Look = PLAIN) -> Scenes:
    """The scenes of ``latent_set`` with the same arguments, in the same order."""
    return random_scenes(count, torch.Generator().manual_seed(seed), palette=look.palette)


@torch.no_grad()
def latent_set(
    vae: AutoencoderKL, count: int, height: int, width: int, seed: int, look: Look = PLAIN
) -> LatentSet:
    """Encode ``count`` random scenes of height x width pixels; cached on disk."""
    path = checkpointing.RUNS / f"latent-set-{look.suffix}{height}x{width}-{count}-{seed}.pt"
    if (state := checkpointing.load(path)) is None:
        scenes = scenes_of(count, seed, look)
        chunk = max(1, 64 * 64 * 32 // (height * width))
        parts = []
        for start in range(0, count, chunk):
            part = scenes.rows(slice(start, start + chunk))
            parts.append(
                vae.encode(draw(part, height, width, ring=look.ring) * 2 - 1).latent_dist.mean * SCALING
            )
        state = {
            "latents": torch.cat(parts),
            "shape": scenes.shape,
            "color": scenes.color_index,
            "background": scenes.background_index,
        }
        checkpointing.save(path, state)
    return LatentSet(**state)
