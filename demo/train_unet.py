"""Train the demo UNet: ``python -m demo.train_unet --steps 10000``. Resumes an interrupted run; --steps may be changed.

Noise prediction with Stable Diffusion 1.x's schedule, first on small latents, where colors and shapes are learned
cheaply, then on the sizes that clients use.

If all captions match their images, the UNet follows the text more than the image even at low noise: guidance then overshoots,
and img2img at low strength repaints what it should keep. So some of the later batches have low noise and the captions of
other images.
"""

from __future__ import annotations

import random

import torch
from torch import Tensor

from demo.architectures.demo_model import new_unet
from demo.data.captions import describe
from demo.data.latents import LatentSet
from demo.data.shapes import SHAPES
from demo.learning import checkpointing
from demo.learning.denoising import (
    ALL_TIMES,
    DETAIL_TIMES,
    LARGE_OUTLINE_TIMES,
    OUTLINE_TIMES,
    denoising_loss,
)
from demo.learning.muon import split_parameters
from demo.learning.pretraining import Pretraining, Sizes, Step, options
from demo.train_text_encoder import token_ids, trained_text_encoder

PATH = checkpointing.RUNS / "unet.pt"
EMPTY_PROMPTS = 0.1
STAR_WEIGHT = 5.0  # sampling weight of stars, which have more corners; other shapes have 1
EARLY = 0.3
SIZES = Sizes(
    scenes={
        (64, 64): 12000,
        (128, 128): 6000,
        (256, 256): 3000,
        (512, 512): 900,
        (256, 192): 500,
        (192, 256): 500,
    },
    batch={(64, 64): 64, (128, 128): 32, (256, 256): 10, (512, 512): 3, (256, 192): 12, (192, 256): 12},
    early={(64, 64): 0.7, (128, 128): 0.3},
    late={(128, 128): 0.03, (256, 256): 0.46, (512, 512): 0.45, (256, 192): 0.03, (192, 256): 0.03},
    early_share=EARLY,
)
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


def main() -> None:
    parsed = options(__doc__, STEPS)
    encoder = trained_text_encoder()
    unet = new_unet().to(memory_format=torch.channels_last)

    def loss_of(step: Step) -> tuple[Tensor, bool]:
        latents, texts = draw_batch(step.data, step.rows, step.rng)
        times = draw_times(step.late, step.size[0] >= LARGE, step.rng)
        if times is DETAIL_TIMES:
            step.rng.shuffle(texts)
        with torch.no_grad():
            context = encoder(token_ids(texts)).last_hidden_state
        with torch.autocast("cpu", torch.bfloat16, enabled=step.size[0] > PRECISE):
            loss = denoising_loss(
                lambda noisy, at: unet(noisy, at, context).sample.float(), latents, step.generator, times
            )
        return loss, True

    Pretraining(PATH, unet, SIZES, split_parameters).run(parsed.steps, parsed.seed, loss_of)


if __name__ == "__main__":
    main()
