"""Generated images without their background: ``cut_out`` in a request that denoises."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_runner.protocol.request_parts.backgrounds import CutOut
from tests.support.demo_engine import Studio
from tests.support.judge import nearest_color

pytestmark = pytest.mark.demo


def test_background_of_a_generated_image_is_transparent(studio: Studio) -> None:
    fields = {"prompt": "a red circle on a white background", "width": 256, "height": 256, "seed": 8}
    job = studio.begin(**fields, num_inference_steps=20, cut_out=CutOut(matting_model="u2netp"))
    (image,) = job.images()
    assert image.mode == "RGBA"
    pixels = np.asarray(image)
    alpha = pixels[..., 3]
    corners = [alpha[y, x] for y in (4, -5) for x in (4, -5)]
    assert max(corners) < 50, "the background is transparent"
    solid = alpha > 200
    assert 0.05 < solid.mean() < 0.9
    assert nearest_color(np.median(pixels[solid][:, :3], axis=0)) == "red"
