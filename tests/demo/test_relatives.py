"""The demo checkpoint's relatives do what their names say, judged by pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from demo.make_vae import SEPIA
from gpu_runner.protocol.generation_request import LoraUse
from tests.support.demo_engine import DEMO_MODELS, Studio, demo_file
from tests.support.judge import COLOURS, judge

pytestmark = pytest.mark.demo

CIRCLE = "a red circle on a yellow background"


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).astype(float)


def corner(picture: Image.Image) -> np.ndarray:
    """Mean colour of the background."""
    return pixels(picture)[:24, :24].mean((0, 1))


@pytest.fixture(scope="module")
def plain(studio):
    return studio.draw(prompt=CIRCLE, seed=3)


def test_night_darkens_in_proportion_to_its_weight(studio, plain):
    drawings = [
        studio.begin(prompt=CIRCLE, seed=3, loras=(LoraUse(name="atelier-night", unet=weight),))
        for weight in (0.0, 0.5, 1.0)
    ]
    off, half, full = (drawing.pictures()[0] for drawing in drawings)
    assert np.array_equal(pixels(off), pixels(plain))
    light = [pixels(picture).mean() for picture in (off, half, full)]
    assert light[0] > light[1] > light[2]
    assert 0.3 < light[2] / light[0] < 0.65  # 0.4 is what it was trained on


HOLLOWED = ("a white circle on a black background", "a green square on a white background")


def test_rings_hollows_shapes_in_proportion_to_its_weight(studio):
    """Convolutions as well as attentions: 42 % of a shape is hole in what it was trained on."""
    weights, seeds = (0.0, 0.5, 1.0), (3, 7)
    drawings = {
        (prompt, seed, weight): studio.begin(
            prompt=prompt, seed=seed, loras=(LoraUse(name="atelier-rings", unet=weight),)
        )
        for prompt in HOLLOWED
        for seed in seeds
        for weight in weights
    }
    pictures = {key: drawing.pictures()[0] for key, drawing in drawings.items()}
    holes = [
        np.mean(
            [
                hole(pictures[prompt, seed, 0.0], pictures[prompt, seed, weight])
                for prompt in HOLLOWED
                for seed in seeds
            ]
        )
        for weight in weights
    ]
    assert holes[0] == 0
    assert holes[0] < holes[1] < holes[2]
    assert 0.25 < holes[2] < 0.75  # a band stays


def hole(filled: Image.Image, ring: Image.Image) -> float:
    """Share of the filled shape where the ring shows the background."""
    ground = corner(filled)
    before, after = (np.abs(pixels(picture) - ground).max(axis=2) > 100 for picture in (filled, ring))
    return float((before & ~after).sum() / before.sum())


def test_two_loras_act_together(studio):
    both = [LoraUse(name="atelier-rings"), LoraUse(name="atelier-night")]
    ring, dark_ring = (
        studio.draw(prompt=HOLLOWED[1], seed=3, loras=loras) for loras in (tuple(both[:1]), tuple(both))
    )
    assert pixels(dark_ring).mean() < 0.7 * pixels(ring).mean()


def test_one_lora_named_twice_acts_twice(studio):
    half = LoraUse(name="atelier-night", unet=0.5)
    twice, once = (studio.draw(prompt=CIRCLE, seed=3, loras=loras) for loras in ((half, half), (half,)))
    assert pixels(twice).mean() < pixels(once).mean()


def test_sepia_is_the_matrix_that_its_maker_says(studio, plain):
    sepia = studio.draw(prompt=CIRCLE, seed=3, vae="atelier-sepia")
    expected = pixels(plain) @ SEPIA.numpy().T
    assert np.abs(pixels(sepia) - expected).mean() < 4


def test_pastel_draws_the_same_words_lighter(plain):
    studio = Studio(DEMO_MODELS, demo_file("checkpoints/atelier-pastel.safetensors"))
    try:
        pastel = studio.draw(prompt=CIRCLE, seed=3)
    finally:
        studio.close()
    wanted = 127.5 + 0.5 * np.array(COLOURS["yellow"])
    assert np.abs(corner(pastel) - wanted).mean() < 20
    assert np.abs(corner(plain) - wanted).mean() > 40


def test_plum_says_in_one_word_what_it_was_trained_on(studio):
    """In at least three of four pictures; without the file the word means nothing of the kind."""
    word = {"prompt": "atelier-plum", "width": 256, "height": 256}
    drawn = [studio.begin(**word, seed=seed, embeddings=("atelier-plum",)) for seed in range(4)]
    verdicts = [judge(drawing.pictures()[0]) for drawing in drawn]
    assert sum((v.colour, v.background) == ("purple", "yellow") for v in verdicts) >= 3
    assert judge(studio.draw(**word, seed=0)).background != "yellow"
