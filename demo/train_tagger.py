"""Train the demo tagger: ``python -m demo.train_tagger``. It names color, shape and background of a scene.

Input and output are those of the WD14 taggers: pixels (n, 448, 448, 3) from 0 to 255 in the order blue, green, red;
one probability for each row of the tag table beside the file. The export needs the package onnx, which nothing else does:
``pip install --target FOLDER onnx onnxscript`` and ``PYTHONPATH=FOLDER``.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import random
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from demo.data.shapes import COLOR_NAMES, PALETTE, SHAPES, draw, random_scenes
from demo.learning.finetuning import MODELS, adam, optimize

SIDE, REDUCTION = 448, 14
INNER = SIDE // REDUCTION  # side that the network works at
GENERAL = 0  # Danbooru's number of the category
TAGS = (*SHAPES, *COLOR_NAMES, *(f"{name}_background" for name in COLOR_NAMES))
BATCH, CLUTTERED, EMPTY = 48, 6, 4  # images of a batch; those among them with noise or without a shape
OUTPUT = MODELS / "taggers" / "atelier-tagger.onnx"


class Classifier(nn.Module):
    """Convolutional classifier of images (n, 3, INNER, INNER) in 0..1. Returns logits (n, len(TAGS))."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, wider, stride in ((3, 24, 1), (24, 40, 2), (40, 64, 2), (64, 64, 2)):
            layers += [
                nn.Conv2d(width, wider, 3, stride=stride, padding=1),
                nn.GroupNorm(4, wider),
                nn.SiLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (INNER // 8) ** 2, 64), nn.SiLU())
        self.head = nn.Linear(64, len(TAGS))

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.layers(image))


class Tagger(nn.Module):
    """The classifier with the input and output of the WD14 taggers."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixels: Tensor) -> Tensor:
        image = pixels.permute(0, 3, 1, 2).flip(1) / 255
        return self.classifier(functional.avg_pool2d(image, REDUCTION)).sigmoid()


def batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return images (BATCH, 3, INNER, INNER) in 0..1 and their targets: scenes, some without a shape, some of clutter."""
    scenes = random_scenes(BATCH, generator, jitter=0.04)
    scenes.radius = 0.3 + torch.rand(BATCH, generator=generator) * 0.45
    images = draw(scenes, INNER, INNER)
    targets = torch.zeros(BATCH, len(TAGS))
    rows = torch.arange(BATCH)
    colors = len(SHAPES) + scenes.color_index
    backgrounds = len(SHAPES) + len(COLOR_NAMES) + scenes.background_index
    for columns in (scenes.shape, colors, backgrounds):
        targets[rows, columns] = 1
    empty = slice(CLUTTERED, CLUTTERED + EMPTY)
    images[empty] = scenes.background[empty, :, None, None]
    targets[empty, : len(SHAPES) + len(COLOR_NAMES)] = 0
    images[:CLUTTERED] = _clutter(CLUTTERED, generator)
    targets[:CLUTTERED] = 0
    amount = torch.rand(BATCH, 1, 1, 1, generator=generator) * 0.06
    return (images + torch.randn(images.shape, generator=generator) * amount).clamp(0, 1), targets


def _clutter(count: int, generator: torch.Generator) -> Tensor:
    """Patches of many colors at three sizes, which have no tags."""
    images = []
    for index in range(count):
        side = (4, 8, 16)[index % 3]
        chosen = torch.randint(len(PALETTE), (side, side), generator=generator)
        mixed = torch.rand(side, side, 3, generator=generator)
        patches = torch.where(torch.rand(side, side, 1, generator=generator) < 0.5, PALETTE[chosen], mixed)
        images.append(
            functional.interpolate(patches.permute(2, 0, 1)[None], size=(INNER, INNER), mode="bilinear")
        )
    return torch.cat(images)


def write(classifier: Classifier, path: Path) -> None:
    """Write the ONNX file, and the tag table beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        Tagger(classifier).eval(),
        (torch.zeros(1, SIDE, SIDE, 3),),
        str(path),
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
        dynamo=False,
    )
    with path.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tag_id", "name", "category", "count"])
        writer.writerows([number, name, GENERAL, 1] for number, name in enumerate(TAGS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    if importlib.util.find_spec("onnx") is None:
        raise SystemExit("the package onnx is missing: see the first lines of this script")
    torch.manual_seed(12)
    classifier = Classifier()

    def loss_of(step: int, rng: random.Random, generator: torch.Generator) -> Tensor:
        images, targets = batch(generator)
        return functional.binary_cross_entropy_with_logits(classifier(images), targets) * len(TAGS)

    optimize([adam(classifier.parameters(), 3e-3)], loss_of, steps=options.steps)
    write(classifier, options.output)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
