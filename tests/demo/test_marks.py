"""Removal of lettered marks: the letters are found, and what the checkpoint generates is closer to the image below."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dialects.zhiqite.request.tools.catalog import read_submission
from dialects.zhiqite.request.tools.inpainting import RemoveMark
from gpu_runner.protocol import Failed, GenerationRequest, ModelFile, RunRequest
from models_registry.management.commands import install_text_detector
from tests.support.demo_engine import DEMO_CHECKPOINT, DEMO_MODELS, Drawing, Studio, demo_checkpoint
from tests.support.text_detector import detector_wheel, lettered
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.demo

DETECTOR = "text_detection/letters.onnx"


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Iterator[Studio]:
    """An engine with the demo checkpoint and the text detector."""
    root = tmp_path_factory.mktemp("models")
    for path in (root / DEMO_CHECKPOINT, root / DETECTOR):
        path.parent.mkdir()
    shutil.copyfile(DEMO_MODELS / DEMO_CHECKPOINT, root / DEMO_CHECKPOINT)
    (root / DETECTOR).write_bytes(install_text_detector.detector_of(detector_wheel()))
    studio = Studio(root, demo_checkpoint())
    studio.root = root
    yield studio
    studio.close()


@pytest.fixture
def web(source) -> Iterator[WebServer]:
    server = WebServer()
    source.reachable = ["127.0.0.1"]
    yield server
    server.close()


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def remove(studio, key, web):
    """Send an image to the tool, and run its job."""

    def remove(image: Image.Image, **fields) -> Drawing:
        web.answers["/marked.png"] = answer(200, png(image))
        body = {"businessTaskId": "a", "sourceImage": web.url("/marked.png"), "seed": 3, "sampleStep": 12}
        tool = RemoveMark.model_validate(body | fields)
        submission = read_submission("watermark/remove", key, tool, "")
        part = submission.request.change_background.model_copy(update={"text_detector": "letters"})
        request = submission.request.model_copy(update={"change_background": part})
        digest = hashlib.sha256((studio.root / DETECTOR).read_bytes()).hexdigest()
        drawing = Drawing()
        studio.engine.submit(
            RunRequest(
                job_id=f"mark-{os.urandom(4).hex()}",
                request=GenerationRequest(**dict(request)),
                checkpoint=studio.checkpoint,
                files={"text_detector:letters": ModelFile(path=DETECTOR, sha256=digest)},
                inputs={
                    name: base64.b64encode(data).decode() for name, data in submission.input_files.items()
                },
            ),
            drawing,
        )
        return drawing

    return remove


def scene() -> Image.Image:
    image = Image.new("RGB", (256, 256), (40, 70, 220))
    ImageDraw.Draw(image).ellipse((70, 40, 190, 160), fill=(220, 40, 40))
    return image


def difference(one: Image.Image, other: Image.Image, where: np.ndarray) -> float:
    pixels = np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).mean(axis=2)
    return float(pixels[where].mean())


def test_letters_are_removed_and_the_rest_is_unchanged(remove):
    clean = scene()
    marked = lettered(clean, "Atelier 2026", (60, 205))
    letters = (np.asarray(marked) != np.asarray(clean)).any(axis=2)
    result = remove(marked, prompt="a red circle on a blue background").images()[0].convert("RGB")
    assert result.size == clean.size
    assert difference(result, clean, letters) < 0.35 * difference(marked, clean, letters)
    far = np.ones((256, 256), bool)
    far[180:] = False
    assert difference(result, clean, far) == 0


def test_image_without_letters_fails_with_the_reason(remove):
    drawing = remove(scene())
    with pytest.raises(AssertionError, match="no letters were found"):
        drawing.images()
    assert isinstance(drawing.events[-1], Failed)
