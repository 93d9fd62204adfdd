"""The shipped 4x upscaler restores line art better than interpolation does."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from demo.convert_upscaler import as_file, convert
from gpu_runner.protocol.request_parts.upscaling import Upscale
from gpu_runner.protocol.request_parts.values import InputImage
from tests.support.demo_engine import DEMO_MODELS

pytestmark = pytest.mark.demo

NAME = "realesr-animevideov3-x4"
SCALE, SIDE, SUPERSAMPLING = 4, 256, 4
INK, PAPER, FILLS = (20, 20, 30), (250, 245, 235), ((220, 60, 60), (60, 110, 220), (250, 200, 70))


def line_art() -> Image.Image:
    """Outlined shapes in flat colors, and thin lines, with smooth edges."""
    large = SIDE * SUPERSAMPLING
    image = Image.new("RGB", (large, large), PAPER)
    draw = ImageDraw.Draw(image)
    draw.ellipse((80, 80, 520, 520), FILLS[0], INK, 24)
    draw.polygon([(560, 160), (940, 240), (700, 560)], FILLS[1], INK, 24)
    draw.rectangle((140, 600, 520, 940), FILLS[2], INK, 24)
    for step in range(6):
        draw.line((580, 620 + 56 * step, 960, 660 + 40 * step), INK, 20)
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


def error(image: Image.Image, reference: Image.Image) -> float:
    """Mean squared difference."""
    difference = np.asarray(image.convert("RGB"), float) - np.asarray(reference, float)
    return float((difference**2).mean())


def sent(image: Image.Image) -> tuple[str, dict[str, str]]:
    file = io.BytesIO()
    image.save(file, "PNG")
    name = "a" * 64
    return name, {name: base64.b64encode(file.getvalue()).decode()}


def test_result_is_nearer_to_the_original_than_interpolation(studio):
    original = line_art()
    small = original.resize((SIDE // SCALE, SIDE // SCALE), Image.Resampling.BOX)
    name, inputs = sent(small)
    drawing = studio.begin(
        task="upscale",
        init_images=(InputImage(sha256=name),),
        upscale=Upscale(scale=SCALE, upscaler=NAME),
        more_inputs=inputs,
    )
    (restored,) = drawing.images()
    assert restored.size == original.size
    for method in (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS):
        assert error(restored, original) < 0.75 * error(small.resize(original.size, method), original)


PARAM = """7767517
4 4
Input input 0 1 data
Convolution first 1 1 data a 0=2 1=1 4=0 5=1 6=6
PReLU slope 1 1 a b 0=2
Convolution last 1 1 b output 0=3 1=1 4=0 5=1 6=6
"""
TAG = bytes.fromhex("476b3001")


def ncnn_weights() -> bytes:
    half, single = np.arange(6, dtype="<f2").tobytes(), np.ones(2, "<f4").tobytes()
    return TAG + half + single + single + TAG + half + np.zeros(3, "<f4").tobytes()


def test_conversion_reads_the_layers_in_their_order():
    tensors = convert(PARAM, ncnn_weights())
    assert [*tensors] == ["body.0.weight", "body.0.bias", "body.1.weight", "body.2.weight", "body.2.bias"]
    assert torch.equal(tensors["body.0.weight"].flatten(), torch.arange(6).half())
    assert tensors["body.2.weight"].shape == (3, 2, 1, 1)
    assert as_file(tensors) == as_file(tensors)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (ncnn_weights()[:-1], "too short"),
        (ncnn_weights() + b"more", "4 bytes belong to no layer"),
        (bytes(4) + ncnn_weights()[4:], "16 bits"),
    ],
)
def test_another_file_is_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        convert(PARAM, weights)


def test_shipped_file_names_its_author_and_license():
    folder = DEMO_MODELS / "upscalers"
    assert b'"modelspec.license":"BSD-3-Clause"' in (folder / f"{NAME}.safetensors").read_bytes()[:8192]
    notice = (folder / "README.md").read_text()
    assert "Copyright (c) 2021, Xintao Wang" in notice
    assert "THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS" in notice
