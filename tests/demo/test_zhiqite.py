"""What Zhiqite's clients ask for, as the real engine draws it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dialects.zhiqite.request import submission_v2, tools
from dialects.zhiqite.request.fields_v2 import GenerationV2
from dialects.zhiqite.request.tools import ImgExpand
from jobs.admission.submission import Submission
from tests.support.demo_engine import Studio
from tests.support.judge import judge
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.demo


def drawn(studio: Studio, submission: Submission) -> Image.Image:
    """By the canonical request and the pictures that the door has made of a body."""
    inputs = {sha256: base64.b64encode(data).decode() for sha256, data in submission.pictures.items()}
    return studio.begin(more_inputs=inputs, **dict(submission.request)).pictures()[0]


@pytest.fixture
def web(source) -> Any:
    server = WebServer()
    source.reachable = ["127.0.0.1"]
    yield server
    server.close()


def test_a_v2_body_becomes_its_picture(studio, key):
    body = {
        "prompt": "a red circle on a blue background", "width": 256, "height": 256, "steps": "20", "seed": "8",
        "alwayson_scripts": {"sd_model_checkpoint": "atelier-shapes.safetensors", "id_task": "a"},
    }  # fmt: skip
    asked = GenerationV2.model_validate(body)
    verdict = judge(drawn(studio, submission_v2.read_submission(submission_v2.TEXT, key, asked, "")))
    assert (verdict.shape, verdict.colour, verdict.background) == ("circle", "red", "blue")


def test_expanding_keeps_the_picture_and_draws_around_it(studio, key, web):
    picture, buffer = Image.effect_noise((96, 96), 60).convert("RGB"), io.BytesIO()
    picture.save(buffer, "PNG")
    web.answers["/a.png"] = answer(200, buffer.getvalue())
    body = {
        "businessTaskId": "a", "sourceImage": web.url("/a.png"), "prompt": "a blue background", "seed": 3,
        "horizontalExpansionRatio": 2, "sampleStep": 12,
    }  # fmt: skip
    asked = ImgExpand.model_validate(body)
    expanded = np.asarray(drawn(studio, tools.read_submission("imgExpand", key, asked, "")))
    assert expanded.shape == (96, 192, 3)
    kept = slice(48 + 2 * tools.OUTPAINT_BLEND, 144 - 2 * tools.OUTPAINT_BLEND)
    inner = slice(2 * tools.OUTPAINT_BLEND, 96 - 2 * tools.OUTPAINT_BLEND)
    assert (expanded[:, kept] == np.asarray(picture)[:, inner]).all()
    assert expanded[:, :32].std() > 0  # not the black of its canvas
    assert expanded[:, :32].mean() > 10
