"""change_background with the demo model: product pixels are unchanged, and the background follows the prompt."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu_runner.protocol import Picture
from gpu_runner.protocol.generation_request import ChangeBackground
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
        inputs, parameters["mask"] = {name: base64.b64encode(file.getvalue()).decode()}, Picture(sha256=name)
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
    after = begin(studio, before, disc()).pictures()[0]
    assert equal_pixels(before, after, shrunk(disc(), 8))
    verdict = judge(after)
    assert (verdict.shape, verdict.color, verdict.background) == ("circle", "red", "blue")


def test_without_a_mask_the_matting_model_finds_the_product(studio: Studio) -> None:
    before = product()
    after = begin(studio, before).pictures()[0]
    assert equal_pixels(before, after, shrunk(disc(), 9))
    assert judge(after).background == "blue"
