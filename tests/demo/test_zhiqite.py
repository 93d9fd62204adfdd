"""Requests of the Zhiqite dialect, executed by an engine with the demo checkpoint."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dialects.zhiqite.request import submission_v2
from dialects.zhiqite.request.fields_v2 import GenerationV2
from dialects.zhiqite.request.tools.catalog import read_submission
from dialects.zhiqite.request.tools.inpainting import OUTPAINT_BLEND, ImgExpand
from jobs.admission.submission import Submission
from tests.support.demo_engine import Studio
from tests.support.judge import judge
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.demo


def image_of(studio: Studio, submission: Submission) -> Image.Image:
    """The image of a submission, as parsed from a request body."""
    inputs = {sha256: base64.b64encode(data).decode() for sha256, data in submission.input_files.items()}
    return studio.begin(more_inputs=inputs, **dict(submission.request)).images()[0]


@pytest.fixture
def web(source) -> Any:
    server = WebServer()
    source.reachable = ["127.0.0.1"]
    yield server
    server.close()


def test_a_v2_request_gives_the_image_of_its_prompt(studio, key):
    body = {
        "prompt": "a red circle on a blue background", "width": 256, "height": 256, "steps": "20", "seed": "8",
        "alwayson_scripts": {"sd_model_checkpoint": "atelier-shapes.safetensors", "id_task": "a"},
    }  # fmt: skip
    fields = GenerationV2.model_validate(body)
    verdict = judge(image_of(studio, submission_v2.read_submission(submission_v2.TEXT, key, fields, "")))
    assert (verdict.shape, verdict.color, verdict.background) == ("circle", "red", "blue")


def test_img_expand_keeps_the_image_and_fills_the_borders(studio, key, web):
    image, buffer = Image.effect_noise((96, 96), 60).convert("RGB"), io.BytesIO()
    image.save(buffer, "PNG")
    web.answers["/a.png"] = answer(200, buffer.getvalue())
    body = {
        "businessTaskId": "a", "sourceImage": web.url("/a.png"), "prompt": "a blue background", "seed": 3,
        "horizontalExpansionRatio": 2, "sampleStep": 12,
    }  # fmt: skip
    fields = ImgExpand.model_validate(body)
    expanded = np.asarray(image_of(studio, read_submission("imgExpand", key, fields, "")))
    assert expanded.shape == (96, 192, 3)
    kept = slice(48 + 2 * OUTPAINT_BLEND, 144 - 2 * OUTPAINT_BLEND)
    inner = slice(2 * OUTPAINT_BLEND, 96 - 2 * OUTPAINT_BLEND)
    assert (expanded[:, kept] == np.asarray(image)[:, inner]).all()
    assert expanded[:, :32].std() > 0  # not the black canvas
    assert expanded[:, :32].mean() > 10
