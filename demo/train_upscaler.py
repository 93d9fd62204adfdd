"""Train the demo upscaler, 2×: ``python -m demo.train_upscaler``. A compact ESRGAN (SRVGG) of a few thousand weights."""

from __future__ import annotations

import argparse
import random

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from demo.learning.finetuning import MODELS, MODELSPEC, adam, optimize
from demo.train_vae import crops

SCALE, FEATURES, CONVOLUTIONS = 2, 16, 4


class Compact(nn.Module):
    """SRVGG network: convolutions at the low resolution, pixel shuffle, and a residual nearest-neighbor enlargement."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, FEATURES, 3, padding=1), nn.PReLU(FEATURES)]
        for _ in range(CONVOLUTIONS):
            layers += [nn.Conv2d(FEATURES, FEATURES, 3, padding=1), nn.PReLU(FEATURES)]
        layers.append(nn.Conv2d(FEATURES, 3 * SCALE**2, 3, padding=1))
        self.body = nn.ModuleList(layers)

    def forward(self, small: Tensor) -> Tensor:
        x = small
        for layer in self.body:
            x = layer(x)
        return functional.pixel_shuffle(x, SCALE) + functional.interpolate(small, scale_factor=SCALE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    torch.manual_seed(12)
    net = Compact()

    def loss_of(step: int, rng: random.Random, generator: torch.Generator) -> Tensor:
        large = crops(16, generator) / 2 + 0.5
        small = functional.interpolate(large, scale_factor=1 / SCALE, mode="bicubic", antialias=True)
        return functional.l1_loss(net(small.clamp(0, 1)), large)

    optimize([adam(net.parameters(), 2e-3)], loss_of, steps=options.steps)
    path = MODELS / "upscalers" / "atelier-2x.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {**MODELSPEC, "modelspec.title": "Atelier 2x"}
    save_file({name: tensor.half().contiguous() for name, tensor in net.state_dict().items()}, path, metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
