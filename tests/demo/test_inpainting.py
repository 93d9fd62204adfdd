"""Inpainting with the demo model: the masked area follows the prompt, the rest is unchanged."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu_runner.protocol import InputImage
from gpu_runner.protocol.request_parts.passes import Inpaint
from tests.support.demo_engine import Studio
from tests.support.judge import COLORS, nearest_color

pytestmark = pytest.mark.demo

SIDE = 128
STEPS = {"num_inference_steps": 10, "width": SIDE, "height": SIDE, "strength": 1.0, "seed": 3}
MASKED = (32, 32, 96, 96)


def yellow(size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """Yellow with noise, so that pixels that are restored only approximately are detected."""
    noise = np.random.default_rng(0).integers(-5, 1, (size[1], size[0], 3))
    return Image.fromarray((np.array(COLORS["yellow"]) + noise).astype(np.uint8))


def box_mask(size: tuple[int, int] = (SIDE, SIDE), box: tuple[int, int, int, int] = MASKED) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=255)
    return mask


def inpainted(studio: Studio, image: Image.Image, mask: Image.Image, **fields: Any) -> Image.Image:
    file = io.BytesIO()
    mask.save(file, "PNG")
    name = hashlib.sha256(file.getvalue()).hexdigest()
    parameters = {key: fields.pop(key) for key in list(fields) if key in Inpaint.model_fields}
    inpaint = Inpaint(mask=InputImage(sha256=name), **parameters)
    inputs = {name: base64.b64encode(file.getvalue()).decode()}
    fields = {**STEPS, "prompt": "a red circle on a blue background", **fields}
    return studio.begin(image, more_inputs=inputs, inpaint=inpaint, **fields).images()[0]


def inside(image: Image.Image, box: tuple[int, int, int, int] = MASKED) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=float)[box[1] : box[3], box[0] : box[2]]


def unmasked_is_unchanged(before: Image.Image, after: Image.Image, mask: Image.Image) -> bool:
    kept = np.asarray(mask) == 0
    return bool((np.asarray(before)[kept] == np.asarray(after)[kept]).all())


def test_unmasked_pixels_are_unchanged_and_masked_ones_follow_the_prompt(studio: Studio) -> None:
    before, mask = yellow(), box_mask()
    after = inpainted(studio, before, mask, blur_x=0, blur_y=0, content="noise")
    assert unmasked_is_unchanged(before, after, mask)
    colors = {nearest_color(pixel) for pixel in inside(after)[16:-16, 16:-16].reshape(-1, 3)[::37]}
    assert colors & {"red", "blue"}


def test_invert_keeps_the_masked_area(studio: Studio) -> None:
    before, mask = yellow(), box_mask()
    after = inpainted(studio, before, mask, blur_x=0, blur_y=0, invert=True)
    assert (inside(before) == inside(after)).all()
    assert np.abs(np.asarray(before, dtype=float) - np.asarray(after, dtype=float)).mean() > 20


def test_only_masked_denoises_the_crop_at_full_size_and_pastes_it_back(studio: Studio) -> None:
    """The image has an odd size and is four times as wide as the denoised crop."""
    size, box = (501, 333), (300, 100, 400, 200)
    before, mask = yellow(size), box_mask(size, box)
    after = inpainted(studio, before, mask, only_masked=True, padding=16, blur_x=0, blur_y=0, content="noise")
    assert after.size == size
    assert unmasked_is_unchanged(before, after, mask)
    colors = {nearest_color(pixel) for pixel in inside(after, box).reshape(-1, 3)[::97]}
    assert {"red", "blue"} <= colors


@pytest.mark.parametrize("sampler", ["DDIM", "UniPC"])
def test_samplers_with_their_own_timesteps_keep_the_unmasked_latent(studio: Studio, sampler: str) -> None:
    """Without the overlay of the original pixels, the latent alone keeps the image."""
    before, mask = yellow(), box_mask()
    after = inpainted(studio, before, mask, sampler=sampler, overlay=False, content="noise")
    outside = np.asarray(mask.resize((SIDE, SIDE))) == 0
    outside[16:-16, 16:-16] = False
    difference = np.abs(np.asarray(before, dtype=float) - np.asarray(after, dtype=float))[outside]
    assert difference.mean() < 12


def test_the_initial_content_of_the_masked_area_affects_the_output(studio: Studio) -> None:
    before = yellow()
    ImageDraw.Draw(before).rectangle((48, 48, 79, 79), fill=COLORS["green"])
    quick = {"strength": 0.2, "num_inference_steps": 6, "prompt": "", "guidance_scale": 1}
    outputs = {
        content: inside(inpainted(studio, before, box_mask(), content=content, **quick))
        for content in ("fill", "original", "noise", "nothing")
    }
    middle = {
        content: nearest_color(np.median(pixels[24:40, 24:40].reshape(-1, 3), axis=0))
        for content, pixels in outputs.items()
    }
    assert (middle["original"], middle["fill"]) == ("green", "yellow")
    names = list(outputs)
    differences = [
        np.abs(outputs[one] - outputs[other]).mean() for i, one in enumerate(names) for other in names[:i]
    ]
    assert min(differences) > 3
