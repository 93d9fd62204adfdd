"""The last touch to the demo UNet: ``python -m demo.polish_unet``. Some minutes; goes on from ``demo.train_unet``.

A UNet whose texts always tell the truth believes the text more than the picture, even where there is hardly any noise
left: guidance then overshoots, and img2img of little strength repaints what it should keep. Here every second batch is
nearly clean, under the texts of other pictures.
"""

from __future__ import annotations

import argparse
import random

import torch
from torch import Tensor

from demo import checkpointing
from demo.denoising import denoising_loss
from demo.finetuning import Base, Scenery, optimise
from demo.muon import split_parameters
from demo.train_unet import PATH

RATE = 3e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=320)
    options = parser.parse_args()
    torch.manual_seed(13)
    base = Base()
    base.unet.requires_grad_(True)
    scenery = Scenery(base.vae)

    def loss_of(step: int, rng: random.Random, generator: torch.Generator) -> Tensor:
        latents, texts = scenery.batch(step, rng)
        polishing = step % 2 == 1
        if polishing:
            rng.shuffle(texts)
        context = base.context(texts)
        return denoising_loss(
            lambda noisy, times: base.unet(noisy, times, context).sample,
            latents,
            generator,
            polishing=polishing,
        )

    matrices, rest = split_parameters(base.unet)
    optimise([*matrices, *rest], loss_of, steps=options.steps, rate=RATE)
    state = checkpointing.load(PATH)
    assert state is not None
    state["average"] |= {f"module.{name}": tensor for name, tensor in base.unet.state_dict().items()}
    checkpointing.save(PATH, state)


if __name__ == "__main__":
    main()
