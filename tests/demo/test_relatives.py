"""Models derived from the demo checkpoint (LoRAs, VAE, checkpoint, embedding) have their effect, measured on pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from demo.make_vae import SEPIA
from gpu_runner.protocol.request_parts.passes import LoraUse
from tests.support.demo_engine import DEMO_MODELS, Studio, demo_file
from tests.support.judge import COLORS, judge

pytestmark = pytest.mark.demo

CIRCLE = "a red circle on a yellow background"


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(float)


def corner(image: Image.Image) -> np.ndarray:
    """Mean color of the background."""
    return pixels(image)[:24, :24].mean((0, 1))


@pytest.fixture(scope="module")
def plain(studio):
    return studio.draw(prompt=CIRCLE, seed=3)


def test_the_night_lora_darkens_in_proportion_to_its_weight(studio, plain):
    drawings = [
        studio.begin(prompt=CIRCLE, seed=3, loras=(LoraUse(name="atelier-night", unet=weight),))
        for weight in (0.0, 0.5, 1.0)
    ]
    off, half, full = (drawing.images()[0] for drawing in drawings)
    assert np.array_equal(pixels(off), pixels(plain))
    light = [pixels(image).mean() for image in (off, half, full)]
    assert light[0] > light[1] > light[2]
    assert 0.3 < light[2] / light[0] < 0.65  # trained on images of 0.4 times the brightness


RING_PROMPTS = ("a white circle on a black background", "a green square on a white background")


def test_the_rings_lora_hollows_shapes_in_proportion_to_its_weight(studio):
    """This LoRA changes convolutions and attention layers. In its training images, the hole is 42 % of the shape."""
    weights, seeds = (0.0, 0.5, 1.0), (3, 7)
    drawings = {
        (prompt, seed, weight): studio.begin(
            prompt=prompt, seed=seed, loras=(LoraUse(name="atelier-rings", unet=weight),)
        )
        for prompt in RING_PROMPTS
        for seed in seeds
        for weight in weights
    }
    images = {key: drawing.images()[0] for key, drawing in drawings.items()}
    holes = [
        np.mean(
            [
                hole(images[prompt, seed, 0.0], images[prompt, seed, weight])
                for prompt in RING_PROMPTS
                for seed in seeds
            ]
        )
        for weight in weights
    ]
    assert holes[0] == 0
    assert holes[0] < holes[1] < holes[2]
    assert 0.25 < holes[2] < 0.75  # the ring remains


def hole(filled: Image.Image, ring: Image.Image) -> float:
    """Share of the filled shape where the ring shows the background."""
    ground = corner(filled)
    before, after = (np.abs(pixels(image) - ground).max(axis=2) > 100 for image in (filled, ring))
    return float((before & ~after).sum() / before.sum())


def test_two_loras_are_combined(studio):
    both = [LoraUse(name="atelier-rings"), LoraUse(name="atelier-night")]
    ring, dark_ring = (
        studio.draw(prompt=RING_PROMPTS[1], seed=3, loras=loras) for loras in (tuple(both[:1]), tuple(both))
    )
    assert pixels(dark_ring).mean() < 0.7 * pixels(ring).mean()


def test_a_lora_named_twice_is_applied_twice(studio):
    half = LoraUse(name="atelier-night", unet=0.5)
    twice, once = (studio.draw(prompt=CIRCLE, seed=3, loras=loras) for loras in ((half, half), (half,)))
    assert pixels(twice).mean() < pixels(once).mean()


def test_the_sepia_vae_applies_its_color_matrix(studio, plain):
    sepia = studio.draw(prompt=CIRCLE, seed=3, vae="atelier-sepia")
    expected = pixels(plain) @ SEPIA.numpy().T
    assert np.abs(pixels(sepia) - expected).mean() < 4


def test_the_pastel_checkpoint_gives_lighter_colors(plain):
    studio = Studio(DEMO_MODELS, demo_file("checkpoints/atelier-pastel.safetensors"))
    try:
        pastel = studio.draw(prompt=CIRCLE, seed=3)
    finally:
        studio.close()
    wanted = 127.5 + 0.5 * np.array(COLORS["yellow"])
    assert np.abs(corner(pastel) - wanted).mean() < 20
    assert np.abs(corner(plain) - wanted).mean() > 40


def test_the_plum_embedding_gives_its_trained_colors(studio):
    """In at least three of four images; without the embedding file, the token has no such meaning."""
    request = {"prompt": "atelier-plum", "width": 256, "height": 256}
    drawings = [studio.begin(**request, seed=seed, embeddings=("atelier-plum",)) for seed in range(4)]
    verdicts = [judge(drawing.images()[0]) for drawing in drawings]
    assert sum((v.color, v.background) == ("purple", "yellow") for v in verdicts) >= 3
    assert judge(studio.draw(**request, seed=0)).background != "yellow"
