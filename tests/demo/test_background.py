"""change_background with the demo model: product pixels are unchanged, and the background follows the prompt."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from gpu_runner.protocol import InputImage
from gpu_runner.protocol.request_parts.backgrounds import ChangeBackground
from tests.support.demo_engine import Drawing, Studio
from tests.support.judge import judge

pytestmark = pytest.mark.demo

STEPS = {"num_inference_steps": 12, "width": 128, "height": 128, "strength": 1.0, "seed": 3}
PROMPT = "a red circle on a blue background"
RADIUS = 34


def disc(size: tuple[int, int] = (128, 128), radius: int = RADIUS) -> Image.Image:
    mask = Image.new("L", size)
    x, y = size[0] // 2, size[1] // 2
    ImageDraw.Draw(mask).ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return mask


def product(size: tuple[int, int] = (128, 128)) -> Image.Image:
    """A red disc with noise on a yellow background."""
    noise = np.random.default_rng(0).integers(-12, 12, (size[1], size[0], 3))
    red = Image.fromarray((np.array((220, 40, 40)) + noise).clip(0, 255).astype(np.uint8))
    return Image.composite(red, Image.new("RGB", size, (250, 220, 45)), disc(size))


def begin(studio: Studio, image: Image.Image, mask: Image.Image | None = None, **fields: Any) -> Drawing:
    parameters = {key: fields.pop(key) for key in list(fields) if key in ChangeBackground.model_fields}
    inputs = {}
    if mask is not None:
        file = io.BytesIO()
        mask.save(file, "PNG")
        name = hashlib.sha256(file.getvalue()).hexdigest()
        inputs, parameters["mask"] = (
            {name: base64.b64encode(file.getvalue()).decode()},
            InputImage(sha256=name),
        )
    change_background = ChangeBackground(matting_model="" if mask else "u2netp", **parameters)
    fields = {**STEPS, "prompt": PROMPT, **fields}
    return studio.begin(
        image, task="change_background", change_background=change_background, more_inputs=inputs, **fields
    )


def shrunk(mask: Image.Image, pixels: int) -> np.ndarray:
    return np.asarray(disc(mask.size, RADIUS - pixels)) > 0


def equal_pixels(before: Image.Image, after: Image.Image, where: np.ndarray) -> bool:
    return bool((np.asarray(before)[where] == np.asarray(after.convert("RGB"))[where]).all())


def test_product_pixels_are_unchanged_and_the_background_follows_the_prompt(studio: Studio) -> None:
    before = product()
    after = begin(studio, before, disc()).images()[0]
    assert equal_pixels(before, after, shrunk(disc(), 8))
    verdict = judge(after)
    assert (verdict.shape, verdict.color, verdict.background) == ("circle", "red", "blue")


SIZE, SEEDS = 160, (101, 102)
SHAPES = {  # outline of a product in hundredths of the side, its color and the color behind it
    "disc": ("ellipse", (25, 25, 75, 75), (220, 40, 40), (250, 220, 45)),
    "triangle": ("polygon", ((50, 20), (80, 75), (20, 75)), (40, 70, 220), (40, 160, 70)),
    "bar": ("rectangle", (20, 35, 80, 65), (220, 40, 40), (40, 70, 220)),
    "box": ("rectangle", (35, 15, 65, 85), (40, 70, 220), (25, 25, 25)),
}


def shape(name: str) -> tuple[Image.Image, Image.Image]:
    """A product on its old background, and its mask."""
    kind, outline, color, behind = SHAPES[name]
    mask = Image.new("L", (100, 100))
    getattr(ImageDraw.Draw(mask), kind)(outline, fill=255)
    mask = mask.resize((SIZE, SIZE))
    old = Image.new("RGB", (SIZE, SIZE), behind)
    noise = np.random.default_rng(0).integers(-12, 12, (SIZE, SIZE, 3))
    image = Image.fromarray((np.array(color) + noise).clip(0, 255).astype(np.uint8))
    return Image.composite(image, old, mask), mask


def test_white_background_stays_white_near_the_border_of_the_product(studio: Studio) -> None:
    """The model does not continue a product into the background: no fins."""
    fins, brightness = background_of(studio)
    filled, _brightness = background_of(studio, content="fill")
    assert fins < 0.75 * filled, (fins, filled)
    assert brightness > 0.85, brightness


def background_of(studio: Studio, **fields: Any) -> tuple[float, float]:
    """Share of colored pixels near the products, and brightness (0 to 1) of the whole background."""
    drawings = [
        (shape(name)[1], begin(studio, *shape(name), prompt="a white background", width=SIZE, height=SIZE, seed=seed, **fields))
        for seed in SEEDS
        for name in SHAPES
    ]  # fmt: skip
    colored, brightness = [], []
    for mask, drawing in drawings:
        after = np.asarray(drawing.images()[0].convert("RGB")).astype(int)
        outside = np.asarray(mask.filter(ImageFilter.MaxFilter(9))) == 0
        near = outside & (np.asarray(mask.filter(ImageFilter.MaxFilter(41))) > 0)
        colored.append((np.ptp(after, axis=2)[near] > 60).mean())
        brightness.append(after[outside].mean() / 255)
    return float(np.mean(colored)), float(np.mean(brightness))


def test_without_a_mask_the_matting_model_finds_the_product(studio: Studio) -> None:
    before = product()
    after = begin(studio, before).images()[0]
    assert equal_pixels(before, after, shrunk(disc(), 9))
    assert judge(after).background == "blue"
