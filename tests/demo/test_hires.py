"""Hires fix: a larger image with the same composition."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gpu_runner.protocol.request_parts.passes import Hires
from tests.support.demo_engine import Studio

pytestmark = pytest.mark.demo

FIELDS = {
    "prompt": "a red circle on a blue background",
    "width": 128,
    "height": 128,
    "num_inference_steps": 10,
}


def correlation(one: Image.Image, other: Image.Image) -> float:
    flat = [np.asarray(image.convert("RGB"), dtype=float).ravel() for image in (one, other)]
    return float(np.corrcoef(*flat)[0, 1])


@pytest.fixture(scope="module")
def first(studio: Studio) -> Image.Image:
    return studio.draw(**FIELDS, seed=5)


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_hires_fix_keeps_the_composition_at_the_requested_size(
    studio: Studio, first: Image.Image, upscaler: str
) -> None:
    hires = Hires(width=256, height=192, upscaler=upscaler, strength=0.5, num_inference_steps=6)
    drawing = studio.begin(**FIELDS, seed=5, hires=hires)
    image = drawing.images()[0]
    assert image.size == (256, 192)
    enlarged = first.resize((256, 256), Image.Resampling.LANCZOS).crop((0, 32, 256, 224))
    assert correlation(enlarged, image) > 0.8
    steps = [event for event in drawing.events if event.type == "progress"]
    assert (len(steps), steps[-1].step, steps[-1].steps) == (16, 16, 16)


def test_latent_and_image_upscalers_give_different_images(studio: Studio) -> None:
    images = [
        studio.draw(**FIELDS, seed=5, hires=Hires(width=192, height=192, upscaler=name, strength=0.0))
        for name in ("Latent (nearest-exact)", "Lanczos")
    ]
    one, other = (np.asarray(image, dtype=float) for image in images)
    assert np.abs(one - other).mean() > 0.3
