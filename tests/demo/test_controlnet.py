"""The demo ControlNet draws edges where its map has them."""

from __future__ import annotations

import base64
import hashlib
import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu_runner.protocol import GenerationRequest, ModelFile, Picture, RunRequest
from gpu_runner.protocol.generation_request import ControlUnit
from tests.support.demo_engine import DEMO_MODELS, Drawing, Studio

FILE = "controlnet/atelier-canny.safetensors"

pytestmark = pytest.mark.demo

NEAR = 4  # pixels


def shape() -> Image.Image:
    """A square beside the middle, which the prompt alone would not put there."""
    picture = Image.new("RGB", (256, 256), "black")
    ImageDraw.Draw(picture).rectangle((40, 50, 140, 150), fill="white")
    return picture


def steered(studio: Studio, picture: Image.Image, **unit) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "PNG")
    name = hashlib.sha256(file.getvalue()).hexdigest()
    control = ControlUnit(
        model="canny", module="canny", image=Picture(sha256=name), pixel_perfect=True, **unit
    )
    weights = ModelFile(path=FILE, sha256=hashlib.sha256((DEMO_MODELS / FILE).read_bytes()).hexdigest())
    request = GenerationRequest(
        prompt="a red square on a blue background", width=256, height=256, seed=7, controls=(control,)
    )
    order = RunRequest(
        job_id=f"steered-{unit}",
        request=request,
        checkpoint=studio.checkpoint,
        files={"controlnet:canny": weights},
        inputs={name: base64.b64encode(file.getvalue()).decode()},
    )
    drawing = Drawing()
    studio.engine.submit(order, drawing)
    return drawing.pictures()[0]


def edges(picture: Image.Image) -> np.ndarray:
    return cv2.Canny(np.asarray(picture.convert("RGB")), 100, 200) > 0


def f1(found: np.ndarray, wanted: np.ndarray) -> float:
    """Edges count as met when one of the other picture is near."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * NEAR + 1, 2 * NEAR + 1))
    near_found, near_wanted = (cv2.dilate(mask.astype(np.uint8), disc) > 0 for mask in (found, wanted))
    precision, recall = near_wanted[found].mean(), near_found[wanted].mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def test_edges_are_where_the_map_has_them(studio: Studio) -> None:
    wanted = edges(shape())
    with_control, without = (
        f1(edges(steered(studio, shape(), weight=weight)), wanted) for weight in (1.0, 0.0)
    )
    assert with_control > 0.7
    assert with_control > without + 0.3
