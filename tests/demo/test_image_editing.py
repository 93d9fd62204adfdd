"""Requests of stablediffusionapi.com's image editing, executed by an engine with the demo models."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dialects.stablediffusionapi.endpoints import ENDPOINTS
from dialects.stablediffusionapi.request.submission import read_submission
from jobs.admission.defaults import completed
from jobs.admission.model_choice.resolution import ModelResolver
from models_registry.models import Kind, ModelFile
from tests.dialects.stablediffusionapi.conftest import data_uri
from tests.support.demo_engine import Studio
from tests.support.event_listener import png
from tests.support.judge import judge

pytestmark = [pytest.mark.demo, pytest.mark.django_db]

RED, BLUE = (225, 40, 40), (40, 70, 200)


@pytest.fixture
def edited(studio: Studio, key: Any, checkpoint: ModelFile) -> Any:
    """The image of a request, as parsed from the body."""
    ModelFile.objects.create(kind=Kind.MATTING, name="u2netp", path="matting/u2netp.onnx", sha256="1" * 64)

    def edited(path: str, **body: Any) -> Image.Image:
        submission = read_submission(ENDPOINTS[path], key, body, "http://testserver")
        request = completed(ModelResolver(key.source), submission.request)
        inputs = {name: base64.b64encode(data).decode() for name, data in submission.input_files.items()}
        return studio.begin(more_inputs=inputs, **dict(request)).images()[0]

    return edited


def red_circle(side: int = 192, background: Any = BLUE) -> Image.Image:
    image = Image.new("RGB", (side, side), background)
    ImageDraw.Draw(image).ellipse((side // 4, side // 4, side * 3 // 4, side * 3 // 4), fill=RED)
    return image


def circle_mask(side: int = 192) -> Image.Image:
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).ellipse(
        (side // 4 - 4, side // 4 - 4, side * 3 // 4 + 4, side * 3 // 4 + 4), fill=255
    )
    return mask


def is_reddish(image: Image.Image) -> Any:
    pixels = np.asarray(image.convert("RGB")).astype(int)
    return pixels[..., 0] > pixels[..., 2] + 40


def as_uri(image: Image.Image) -> str:
    return data_uri(png(image))


@pytest.mark.parametrize("path", ["v5/object_removal", "v6/image_editing/object_removal"])
def test_object_is_removed_and_the_rest_is_kept(edited: Any, path: str) -> None:
    before = red_circle()
    after = edited(path, init_image=as_uri(before), mask_image=as_uri(circle_mask()), seed=2)
    assert is_reddish(before).sum() > 5000
    assert is_reddish(after).sum() < 300
    outside = np.ones((192, 192), bool)
    outside[30:162, 30:162] = False
    assert (np.asarray(after)[outside] == np.asarray(before)[outside]).all()


def test_outpaint_of_v6_keeps_the_image_and_continues_its_background(edited: Any) -> None:
    before = red_circle(128)
    after = edited(
        "v6/image_editing/outpaint",
        image=as_uri(before),
        width=256,
        height=128,
        prompt="a red circle on a blue background",
        num_inference_steps=12,
        seed=3,
    )
    pixels = np.asarray(after).astype(int)
    assert pixels.shape == (128, 256, 3)
    assert (pixels[:, 84:172] == np.asarray(before)[:, 20:108]).all()
    border = pixels[:, :40].reshape(-1, 3).mean(0)
    assert border[2] > border[0] + 20  # blue, not the black canvas


def test_outpaint_walks_to_the_left(edited: Any) -> None:
    before = red_circle(192)
    after = edited(
        "v5/outpaint",
        image=as_uri(before),
        prompt="a blue background",
        walk_type=["left", "left"],
        width_translation_per_step=32,
        height_translation_per_step=32,
        as_video="no",
        seed=3,
    )
    pixels = np.asarray(after)
    assert pixels.shape == (192, 192, 3)
    assert (pixels[:, 84:] == np.asarray(before)[:, 20:128]).all()
    assert pixels[:, :40].mean() > 20


def test_background_is_removed_or_with_an_inverse_mask_the_subject(edited: Any) -> None:
    image = as_uri(red_circle(background="white"))
    subject = np.asarray(edited("v5/removebg_mask", image=image))
    assert (subject[96, 96, 3], subject[4, 4, 3]) == (255, 0)
    background = np.asarray(edited("v5/removebg_mask", image=image, inverse_mask=True))
    assert (background[96, 96, 3], background[4, 4, 3]) == (0, 255)
    mask = edited("v5/removebg_mask", image=image, only_mask=True, post_process_mask=True)
    assert set(np.unique(np.asarray(mask))) == {0, 255}


def test_inpaint_repaints_the_mask(edited: Any) -> None:
    after = edited(
        "v6/image_editing/inpaint",
        init_image=as_uri(red_circle()),
        mask_image=as_uri(circle_mask()),
        prompt="a yellow square on a blue background",
        strength=1,
        seed=4,
    )
    corner = np.asarray(after)[:30, :30].reshape(-1, 3).mean(0)
    assert np.abs(corner - BLUE).max() < 12
    assert judge(after).color != "red"


def center_of_green(image: Image.Image) -> float:
    pixels = np.asarray(image.convert("RGB")).astype(int)
    green = pixels[..., 1] > np.maximum(pixels[..., 0], pixels[..., 2]) + 20
    assert green.sum() > 500
    return float(np.nonzero(green)[1].mean())


def test_magic_mix_has_the_layout_of_the_image_and_the_content_of_the_prompt(edited: Any) -> None:
    layout = Image.new("RGB", (128, 128), BLUE)
    ImageDraw.Draw(layout).ellipse((8, 36, 64, 92), fill=RED)
    body = {
        "prompt": "a green circle on a blue background",
        "width": 128,
        "height": 128,
        "num_inference_steps": 20,
        "scheduler": "EulerDiscreteScheduler",
        "guidance_scale": 7,
        "seed": 5,
    }
    mixed = edited("v5/magic_mix", image=as_uri(layout), kmin=0.3, kmax=0.8, mix_factor=0.5, **body)
    assert center_of_green(mixed) < center_of_green(edited("v3/text2img", **body)) - 5
