"""Training of a denoiser from random weights: Muon and AdamW, a moving average, several sizes, a state that is resumed."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from demo.data.latents import LatentSet, latent_set, white_vae
from demo.learning import checkpointing
from demo.learning.muon import Muon

MUON_LR, ADAM_LR = 0.01, 1e-3
SAVE_EVERY = 250  # steps
PRINT_EVERY = 100  # steps

Size = tuple[int, int]  # height and width in pixels


@dataclass(frozen=True)
class Sizes:
    """Which sizes are drawn how often: first small ones, where shapes are learned cheaply, then those of clients."""

    scenes: dict[Size, int]
    batch: dict[Size, int]
    early: dict[Size, float]
    late: dict[Size, float]
    early_share: float  # of the early steps in all steps

    def pick(self, late: bool, rng: random.Random) -> Size:
        shares = self.late if late else self.early
        return rng.choices(list(shares), list(shares.values()))[0]


@dataclass
class Step:
    """One step of training: its random sources, its size, and the latents of that size."""

    size: Size
    rows: int
    late: bool
    rng: random.Random
    generator: torch.Generator
    data: LatentSet


def new_optimizers(matrices: list[nn.Parameter], rest: list[nn.Parameter]) -> list[torch.optim.Optimizer]:
    return [Muon(matrices, lr=MUON_LR), torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.99), fused=True)]


def new_average(model: nn.Module) -> AveragedModel:
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))


def save_state(path: Path, training: Pretraining, step: int) -> None:
    """What a run resumes from. ``step`` is the number of steps that are done."""
    checkpointing.save(
        path,
        {
            "model": training.model.state_dict(),
            "average": training.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in training.optimizers],
            "step": step,
        },
    )


@dataclass
class Pretraining:
    """A model in training.

    ``loss_of`` returns the loss of a step, and whether it counts in the printed averages. ``split`` returns the model's
    parameters for (Muon, AdamW).
    """

    path: Path
    model: nn.Module
    sizes: Sizes
    split: Callable[[nn.Module], tuple[list[nn.Parameter], list[nn.Parameter]]]
    optimizers: list[torch.optim.Optimizer] = field(init=False)
    average: AveragedModel = field(init=False)

    def __post_init__(self) -> None:
        self.optimizers = new_optimizers(*self.split(self.model))
        self.average = new_average(self.model)

    def resume(self) -> int:
        """Load the state of an earlier run, if there is one; return the number of its steps."""
        state = checkpointing.load(self.path)
        if not state:
            return 0
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        return int(state["step"])

    def run(self, steps: int, seed: int, loss_of: Callable[[Step], tuple[Tensor, bool]]) -> None:
        start = self.resume()
        vae = white_vae()
        sets: dict[Size, LatentSet] = {}
        losses: dict[Size, float] = {}
        clock = time.monotonic()
        for number, share in checkpointing.steps_from(start, steps):
            rng = random.Random(seed * 1_000_003 + number)
            generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
            late = number >= self.sizes.early_share * steps
            size = self.sizes.pick(late, rng)
            if size not in sets:
                sets[size] = latent_set(vae, self.sizes.scenes[size], *size, seed=size[0] * 1000 + size[1])
            loss, counts = loss_of(Step(size, self.sizes.batch[size], late, rng, generator, sets[size]))
            self._learn(loss, share)
            if number % 5 == 0:
                self.average.update_parameters(self.model)
            if counts:
                losses[size] = 0.98 * losses.get(size, loss.item()) + 0.02 * loss.item()
            last = number + 1 == steps
            if number % PRINT_EVERY == 0 or last:
                rate = (time.monotonic() - clock) / (number - start + 1)
                shown = " ".join(f"{h}x{w} {value:.4f}" for (h, w), value in sorted(losses.items()))
                print(f"{number} {shown} {rate:.2f} s/step", flush=True)
            if (number + 1) % SAVE_EVERY == 0 or last:
                save_state(self.path, self, number + 1)

    def _learn(self, loss: Tensor, share: float) -> None:
        for optimizer, peak in zip(self.optimizers, (MUON_LR, ADAM_LR), strict=True):
            optimizer.param_groups[0]["lr"] = peak * share
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()


def options(description: str | None, steps: int) -> argparse.Namespace:
    """``--steps`` and ``--seed`` of the command line; seeds torch."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--seed", type=int, default=3)
    parsed = parser.parse_args()
    torch.manual_seed(parsed.seed)
    return parsed
