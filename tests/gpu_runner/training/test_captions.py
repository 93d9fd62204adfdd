"""Captions by the demo tagger, for images that have none."""

from __future__ import annotations

import base64
import hashlib
import io

import pytest
import torch
from PIL import Image, ImageDraw

from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import ModelFile, RunRequest
from gpu_runner.training.captions import captions_of
from tests.support.demo_engine import DEMO_MODELS, demo_checkpoint
from tests.support.training_jobs import training_request

pytestmark = pytest.mark.demo

PATH = "taggers/atelier-tagger.onnx"


def drawn(shape: str) -> bytes:
    """A red shape on blue, as the demo model draws it."""
    image = Image.new("RGB", (256, 256), (30, 60, 220))
    pen = ImageDraw.Draw(image)
    (pen.ellipse if shape == "circle" else pen.rectangle)((70, 70, 186, 186), fill=(220, 30, 30))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_images_without_a_caption_get_their_tags_after_the_trigger_words():
    files = [drawn("circle"), drawn("square")]
    request = training_request(files, tagger="shapes")
    training = request.training.model_copy(
        update={
            "images": (
                request.training.images[0],
                request.training.images[1].model_copy(update={"caption": "my square"}),
            )
        }
    )
    tagger = ModelFile(path=PATH, sha256=hashlib.sha256((DEMO_MODELS / PATH).read_bytes()).hexdigest())
    run_request = RunRequest(
        job_id="tags-1",
        request=request.model_copy(update={"training": training}),
        checkpoint=demo_checkpoint(),
        files={"tagger:shapes": tagger},
        inputs={hashlib.sha256(data).hexdigest(): base64.b64encode(data).decode() for data in files},
    )
    store = ModelStore(DEMO_MODELS, "cpu", torch.float32, 2**30)
    tagged, given = captions_of(store, run_request, training, files)
    assert tagged.startswith("zorb, ")
    assert {"circle", "red", "blue background"} <= set(tagged.split(", "))
    assert given == "zorb, my square"
