"""Background removal with the real U²-Netp, measured against shapes with a known outline."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from demo.data import shapes
from gpu_runner.imaging import images
from gpu_runner.imaging.images import InvalidImage
from gpu_runner.imaging.matting import matte
from gpu_runner.models.files import FileHashCache
from gpu_runner.models.onnx_store import OnnxStore
from gpu_runner.networks.onnx_model import OnnxModel
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from tests.support.demo_engine import DEMO_MODELS
from tests.support.onnx_files import sigmoid_of_the_first_channel

pytestmark = pytest.mark.slow


def as_file(root: Path, path: str) -> ModelFile:
    return ModelFile(path=path, sha256=hashlib.sha256((root / path).read_bytes()).hexdigest())


@pytest.fixture(scope="module")
def u2netp() -> OnnxModel:
    return OnnxStore(DEMO_MODELS, FileHashCache()).get(as_file(DEMO_MODELS, "matting/u2netp.onnx"), "matting")


def overlap(found: Image.Image, truth: np.ndarray) -> float:
    """Intersection over union."""
    inside = np.asarray(found) >= 128
    return float((inside & truth).sum() / (inside | truth).sum())


@pytest.mark.parametrize("shape", range(4), ids=shapes.SHAPES)
def test_a_demo_shape_is_found(u2netp, shape):
    scene = shapes.random_scenes(1, torch.Generator().manual_seed(shape))
    scene = dataclasses.replace(scene, shape=torch.tensor([shape]))
    alone = dataclasses.replace(scene, color=torch.ones(1, 3), background=torch.zeros(1, 3))
    image = images.from_tensor(shapes.draw(scene, 192, 192)[0] * 2 - 1)
    assert overlap(matte(u2netp, image), shapes.draw(alone, 192, 192)[0, 0].numpy() > 0.5) > 0.95


def test_a_bottle_before_a_textured_wall_is_found_in_a_rectangular_image(u2netp):
    noise = np.random.default_rng(0).integers(120, 200, (30, 20, 3), dtype=np.uint8)
    wall = Image.fromarray(noise).resize((200, 300), Image.Resampling.BICUBIC)
    bottle = Image.new("L", wall.size)
    draw = ImageDraw.Draw(bottle)
    draw.rounded_rectangle((65, 110, 135, 270), 12, fill=255)
    draw.rectangle((88, 60, 112, 115), fill=255)
    shaded = Image.linear_gradient("L").rotate(90).resize(wall.size)
    green = Image.merge(
        "RGB",
        (shaded.point(lambda x: x // 8), shaded.point(lambda x: 40 + x // 3), shaded.point(lambda x: x // 6)),
    )
    image = Image.composite(green, wall, bottle.filter(ImageFilter.GaussianBlur(1)))
    found = matte(u2netp, image)
    assert found.size == image.size
    assert overlap(found, np.asarray(bottle) > 0) > 0.9


def test_an_image_without_a_subject_is_rejected(tmp_path):
    """The network is constant over the image; U²-Netp finds a subject in any image."""
    (tmp_path / "flat.onnx").write_bytes(sigmoid_of_the_first_channel(32))
    flat = OnnxModel(tmp_path / "flat.onnx", as_file(tmp_path, "flat.onnx"), "matting")
    with pytest.raises(InvalidImage, match="no subject"):
        matte(flat, Image.new("RGB", (40, 40), "grey"))


def test_the_input_has_the_size_the_model_expects(tmp_path):
    (tmp_path / "other.onnx").write_bytes(sigmoid_of_the_first_channel(32))
    reddest = OnnxModel(tmp_path / "other.onnx", as_file(tmp_path, "other.onnx"), "matting")
    image = Image.new("RGB", (100, 60), "blue")
    image.paste("red", (50, 0, 100, 60))
    levels = np.asarray(matte(reddest, image))
    assert levels[:, :45].max() < 20
    assert levels[:, 55:].min() > 235


@pytest.mark.parametrize(
    "data", [b"nonsense", sigmoid_of_the_first_channel(32)[:-60]], ids=["not one", "cut short"]
)
def test_a_damaged_file_is_unavailable(tmp_path, data):
    (tmp_path / "broken.onnx").write_bytes(data)
    with pytest.raises(ModelUnavailable, match=r"broken\.onnx"):
        OnnxStore(tmp_path, FileHashCache()).get(as_file(tmp_path, "broken.onnx"), "matting")


def test_a_matting_model_is_rejected_as_nsfw_detector(tmp_path):
    with pytest.raises(ModelUnavailable, match="nsfw"):
        OnnxStore(DEMO_MODELS, FileHashCache()).get(as_file(DEMO_MODELS, "matting/u2netp.onnx"), "nsfw")


def test_the_store_keeps_the_most_recently_used_models(tmp_path):
    for side in range(8, 14):
        (tmp_path / f"{side}.onnx").write_bytes(sigmoid_of_the_first_channel(side))
    store = OnnxStore(tmp_path, FileHashCache())
    files = [as_file(tmp_path, f"{side}.onnx") for side in range(8, 14)]
    first, *_others, last = [store.get(file, "matting") for file in files]
    assert store.get(files[-1], "matting") is last
    assert store.get(files[0], "matting") is not first
