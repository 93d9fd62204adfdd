"""Train the demo UNet: ``python -m demo.train_unet --steps 10000``. Resumes an interrupted run; --steps may be changed.

Noise prediction with Stable Diffusion 1.x's schedule, first on small latents, where colors and shapes are learned
cheaply, then on the sizes that clients use.

If all captions match their images, the UNet follows the text more than the image even at low noise: guidance then overshoots,
and img2img at low strength repaints what it should keep. So some of the later batches have low noise and the captions of
other images.
"""

from __future__ import annotations

import argparse
import random
import time

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from demo import checkpointing
from demo.architecture import new_unet
from demo.captions import describe
from demo.denoising import ALL_TIMES, DETAIL_TIMES, LARGE_OUTLINE_TIMES, OUTLINE_TIMES, denoising_loss
from demo.latents import LatentSet, latent_set, white_vae
from demo.muon import Muon, split_parameters
from demo.shapes import SHAPES
from demo.train_text_encoder import token_ids, trained_text_encoder

PATH = checkpointing.RUNS / "unet.pt"
MUON_LR, ADAM_LR = 0.01, 1e-3
EMPTY_PROMPTS = 0.1
STAR_WEIGHT = 5.0  # sampling weight of stars, which have more corners; other shapes have 1

# (height, width) in pixels -> (scenes, batch size, share of the early steps, share of the late steps)
SIZES = {
    (64, 64): (12000, 64, 0.7, 0.0),
    (128, 128): (6000, 32, 0.3, 0.03),
    (256, 256): (3000, 10, 0.0, 0.46),
    (512, 512): (900, 3, 0.0, 0.45),
    (256, 192): (500, 12, 0.0, 0.03),
    (192, 256): (500, 12, 0.0, 0.03),
}
EARLY = 0.3  # share of the early steps in all steps
LARGE = 512  # pixels; images of this size need the most training to show one shape instead of several
PRECISE = 128  # pixels; larger images are trained in bfloat16, in 0.6 of the time if the CPU supports it
STEPS = 10000


def draw_batch(data: LatentSet, rows: int, rng: random.Random) -> tuple[Tensor, list[str]]:
    weights = torch.where(data.shape == SHAPES.index("star"), STAR_WEIGHT, 1.0).tolist()
    picked = rng.choices(range(len(data)), weights, k=rows)
    texts = []
    for i in picked:
        scene = int(data.shape[i]), int(data.color[i]), int(data.background[i])
        texts.append("" if rng.random() < EMPTY_PROMPTS else describe(*scene, rng)[0])
    return data.latents[picked], texts


def draw_times(late: bool, large: bool, rng: random.Random) -> range:
    """Timesteps for one training step: all, or mostly a part that needs more training."""
    if not late:
        return ALL_TIMES
    if large:
        return LARGE_OUTLINE_TIMES if rng.random() < 0.75 else ALL_TIMES
    return rng.choice((ALL_TIMES, OUTLINE_TIMES, OUTLINE_TIMES, OUTLINE_TIMES, OUTLINE_TIMES, DETAIL_TIMES))


def new_optimizers(unet: UNet2DConditionModel) -> list[torch.optim.Optimizer]:
    matrices, rest = split_parameters(unet)
    return [Muon(matrices, lr=MUON_LR), torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.99), fused=True)]


def new_average(unet: UNet2DConditionModel) -> AveragedModel:
    return AveragedModel(unet, multi_avg_fn=get_ema_multi_avg_fn(0.99))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    torch.manual_seed(options.seed)

    vae, encoder = white_vae(), trained_text_encoder()
    sets: dict[tuple[int, int], LatentSet] = {}
    unet = new_unet().to(memory_format=torch.channels_last)
    optimizers = new_optimizers(unet)
    average = new_average(unet)
    start = 0
    if state := checkpointing.load(PATH):
        unet.load_state_dict(state["unet"])
        average.load_state_dict(state["average"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        start = state["step"]

    clock = time.monotonic()
    losses: dict[tuple[int, int], float] = {}
    for step, share in checkpointing.steps_from(start, options.steps):
        rng = random.Random(options.seed * 1_000_003 + step)
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
        late = step >= EARLY * options.steps
        column = 3 if late else 2
        size = rng.choices(list(SIZES), [entry[column] for entry in SIZES.values()])[0]
        if size not in sets:
            sets[size] = latent_set(vae, SIZES[size][0], *size, seed=size[0] * 1000 + size[1])
        latents, texts = draw_batch(sets[size], SIZES[size][1], rng)
        times = draw_times(late, size[0] >= LARGE, rng)
        if times is DETAIL_TIMES:
            rng.shuffle(texts)
        with torch.no_grad():
            context = encoder(token_ids(texts)).last_hidden_state
        with torch.autocast("cpu", torch.bfloat16, enabled=size[0] > PRECISE):
            loss = denoising_loss(
                lambda noisy, at, context=context: unet(noisy, at, context).sample.float(),
                latents,
                generator,
                times,
            )
        for optimizer, peak in zip(optimizers, (MUON_LR, ADAM_LR), strict=True):
            optimizer.param_groups[0]["lr"] = peak * share
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        if step % 5 == 0:
            average.update_parameters(unet)
        losses[size] = 0.98 * losses.get(size, loss.item()) + 0.02 * loss.item()
        last = step + 1 == options.steps
        if step % 100 == 0 or last:
            rate = (time.monotonic() - clock) / (step - start + 1)
            shown = " ".join(f"{h}x{w} {value:.4f}" for (h, w), value in sorted(losses.items()))
            print(f"{step} {shown} {rate:.2f} s/step", flush=True)
        if (step + 1) % 250 == 0 or last:
            checkpointing.save(
                PATH,
                {
                    "unet": unet.state_dict(),
                    "average": average.state_dict(),
                    "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                    "step": step + 1,
                },
            )


if __name__ == "__main__":
    main()
