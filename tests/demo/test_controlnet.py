"""Images with the demo ControlNet have edges where the control map has them."""

from __future__ import annotations

import base64
import hashlib
import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu_runner.protocol import GenerationRequest, InputImage, ModelFile, RunRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from tests.support.demo_engine import DEMO_MODELS, Drawing, Studio

FILE = "controlnet/atelier-canny.safetensors"

pytestmark = pytest.mark.demo

NEAR = 4  # pixels


def off_center_square() -> Image.Image:
    """An off-center square: without the ControlNet, shapes are centered."""
    image = Image.new("RGB", (256, 256), "black")
    ImageDraw.Draw(image).rectangle((40, 50, 140, 150), fill="white")
    return image


def controlled_image(studio: Studio, image: Image.Image, **unit) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "PNG")
    name = hashlib.sha256(file.getvalue()).hexdigest()
    control = ControlUnit(
        model="canny", module="canny", image=InputImage(sha256=name), pixel_perfect=True, **unit
    )
    weights = ModelFile(path=FILE, sha256=hashlib.sha256((DEMO_MODELS / FILE).read_bytes()).hexdigest())
    request = GenerationRequest(
        prompt="a red square on a blue background", width=256, height=256, seed=7, controls=(control,)
    )
    run_request = RunRequest(
        job_id=f"controlled-{unit}",
        request=request,
        checkpoint=studio.checkpoint,
        files={"controlnet:canny": weights},
        inputs={name: base64.b64encode(file.getvalue()).decode()},
    )
    drawing = Drawing()
    studio.engine.submit(run_request, drawing)
    return drawing.images()[0]


def edges(image: Image.Image) -> np.ndarray:
    return cv2.Canny(np.asarray(image.convert("RGB")), 100, 200) > 0


def f1(found: np.ndarray, wanted: np.ndarray) -> float:
    """F1 score of edge maps. An edge pixel matches if the other map has one within NEAR pixels."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * NEAR + 1, 2 * NEAR + 1))
    near_found, near_wanted = (cv2.dilate(mask.astype(np.uint8), disc) > 0 for mask in (found, wanted))
    precision, recall = near_wanted[found].mean(), near_found[wanted].mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def test_edges_follow_the_control_map(studio: Studio) -> None:
    wanted = edges(off_center_square())
    with_control, without = (
        f1(edges(controlled_image(studio, off_center_square(), weight=weight)), wanted)
        for weight in (1.0, 0.0)
    )
    assert with_control > 0.7
    assert with_control > without + 0.3
