"""The second pass: larger, and still the same picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gpu_runner.protocol.generation_request import Hires
from tests.support.demo_engine import Studio

pytestmark = pytest.mark.demo

FIELDS = {
    "prompt": "a red circle on a blue background",
    "width": 128,
    "height": 128,
    "num_inference_steps": 10,
}


def correlation(one: Image.Image, other: Image.Image) -> float:
    flat = [np.asarray(picture.convert("RGB"), dtype=float).ravel() for picture in (one, other)]
    return float(np.corrcoef(*flat)[0, 1])


@pytest.fixture(scope="module")
def first(studio: Studio) -> Image.Image:
    return studio.draw(**FIELDS, seed=5)


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_it_keeps_the_composition_at_the_size_asked_for(
    studio: Studio, first: Image.Image, upscaler: str
) -> None:
    hires = Hires(width=256, height=192, upscaler=upscaler, strength=0.5, num_inference_steps=6)
    drawn = studio.begin(**FIELDS, seed=5, hires=hires)
    picture = drawn.pictures()[0]
    assert picture.size == (256, 192)
    enlarged = first.resize((256, 256), Image.Resampling.LANCZOS).crop((0, 32, 256, 224))
    assert correlation(enlarged, picture) > 0.8
    steps = [event for event in drawn.events if event.type == "progress"]
    assert (len(steps), steps[-1].step, steps[-1].steps) == (16, 16, 16)


def test_a_latent_and_a_picture_enlarge_differently(studio: Studio) -> None:
    drawn = [
        studio.draw(**FIELDS, seed=5, hires=Hires(width=192, height=192, upscaler=name, strength=0.0))
        for name in ("Latent (nearest-exact)", "Lanczos")
    ]
    one, other = (np.asarray(picture, dtype=float) for picture in drawn)
    assert np.abs(one - other).mean() > 0.3
