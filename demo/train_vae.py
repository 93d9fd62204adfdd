"""Train the demo autoencoder: ``python -m demo.train_vae --steps 5000``. Resumes an interrupted run.

The loss is L1 on pixels plus a small KL term. The KL term keeps the posterior noisy, which makes the decoder robust against
small errors of a denoiser. The latents are whitened afterwards (``latents.fold_whitening``).
"""

from __future__ import annotations

import argparse
import time

import torch
from torch.nn import functional

from demo.architectures.demo_model import new_vae
from demo.data.shapes import PALETTE, Scenes, draw, random_scenes
from demo.learning import checkpointing
from demo.learning.muon import Muon, split_parameters

CROP = 64
KL_WEIGHT = 3e-4
MUON_LR, ADAM_LR = 0.01, 1e-3


def crops(count: int, generator: torch.Generator) -> torch.Tensor:
    """Random crops (count, 3, 64, 64) in -1..1 of images of 64 to 512 pixels; a fifth has arbitrary colors."""
    scenes: Scenes = random_scenes(count, generator, jitter=0.03)
    arbitrary = torch.rand(count, generator=generator) < 0.2
    scenes.color[arbitrary] = torch.rand(int(arbitrary.sum()), 3, generator=generator)
    scenes.background[arbitrary] = torch.rand(int(arbitrary.sum()), 3, generator=generator)
    size = torch.tensor([64, 128, 256, 256, 512])[torch.randint(5, (count,), generator=generator)]
    extent = 2.0 * CROP / size
    # Crops are centered near the edge of the shape; the rest is uniform.
    turn = torch.rand(count, generator=generator) * 2 * torch.pi
    edge = scenes.center + 0.75 * scenes.radius[:, None] * torch.stack([turn.cos(), turn.sin()], -1)
    offset = (torch.rand(count, 2, generator=generator) - 0.5) * extent[:, None] * 1.4
    origin = edge + offset - extent[:, None] / 2
    origin = torch.minimum(torch.maximum(origin, torch.tensor(-1.0)), 1 - extent[:, None])
    return draw(scenes, CROP, CROP, origin, extent) * 2 - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    path = checkpointing.RUNS / "vae.pt"
    vae = new_vae().to(memory_format=torch.channels_last)
    # Initialize the posterior with little noise: noise as large as the latents would hide them.
    with torch.no_grad():
        vae.quant_conv.weight[:4].mul_(4)
        vae.quant_conv.bias[4:].fill_(-5)
    matrices, rest = split_parameters(vae)
    optimizers = [
        Muon(matrices, lr=MUON_LR),
        torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.99), fused=True),
    ]
    average = torch.optim.swa_utils.AveragedModel(
        vae, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.98)
    )
    start = 0
    if state := checkpointing.load(path):
        vae.load_state_dict(state["vae"])
        average.load_state_dict(state["average"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        start = state["step"]

    clock, running = time.monotonic(), None
    for step, share in checkpointing.steps_from(start, options.steps):
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
        images = crops(options.batch, generator).contiguous(memory_format=torch.channels_last)
        posterior = vae.encode(images).latent_dist
        restored = vae.decode(posterior.sample()).sample
        pixel_loss = functional.l1_loss(restored, images)
        kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
        loss = pixel_loss + KL_WEIGHT * min(1.0, step / 2000) * kl
        for optimizer, peak in zip(optimizers, (MUON_LR, ADAM_LR), strict=True):
            optimizer.param_groups[0]["lr"] = peak * share
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        if step % 10 == 0:
            average.update_parameters(vae)
        running = pixel_loss.item() if running is None else 0.98 * running + 0.02 * pixel_loss.item()
        last = step + 1 == options.steps
        if step % 100 == 0 or last:
            rate = (time.monotonic() - clock) / (step - start + 1)
            std = posterior.std.mean().item()
            print(f"{step} l1 {running:.4f} kl {kl.item():.2f} std {std:.3f} {rate:.2f} s/step", flush=True)
        if (step + 1) % 250 == 0 or last:
            checkpointing.save(
                path,
                {
                    "vae": vae.state_dict(),
                    "average": average.state_dict(),
                    "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                    "step": step + 1,
                    "palette": PALETTE,
                },
            )


if __name__ == "__main__":
    main()
