"""Face detection with the shipped YuNet: positions, sizes, false positives, and invalid files."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from demo.data import shapes
from gpu_runner.imaging import images
from gpu_runner.imaging.face_detection import find
from gpu_runner.models.files import FileHashCache
from gpu_runner.models.onnx_store import OnnxStore
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.onnx_models import identify_onnx_file
from tests.support import face_files
from tests.support.demo_engine import DEMO_MODELS, demo_file
from tests.support.face_files import EYES, YUNET, photograph
from tests.support.onnx_files import model, sigmoid_of_the_first_channel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def yunet():
    return face_files.yunet()


def eyes_of(face):
    return face.points[:2]


@pytest.mark.parametrize("side", [60, 128, 320, 700, 1600, 3000])
def test_a_face_of_any_size_is_found_with_its_landmarks(yunet, side):
    image = photograph().resize((side, side), Image.Resampling.LANCZOS)
    [face] = find(yunet, image)
    assert np.abs(eyes_of(face) * 320 / side - EYES).max() < 4
    left, top, right, bottom = face.box * 320 / side
    assert (100 < left < 130, 45 < top < 75, 195 < right < 220, 165 < bottom < 190) == (True,) * 4


@pytest.mark.parametrize("side", [120, 1000, 2500])
def test_a_face_that_fills_the_image_is_found(yunet, side):
    [face] = find(yunet, photograph().crop((112, 60, 212, 180)).resize((side, side * 6 // 5)))
    assert np.abs(eyes_of(face) * 100 / side + (112, 60) - EYES).max() < 5


@pytest.mark.parametrize("corner", [(0, 0), (680, 0), (0, 280), (333, 111)])
def test_a_face_is_found_in_any_corner_of_a_rectangular_image(yunet, corner):
    image = Image.new("RGB", (1000, 600), "darkgrey")
    image.paste(photograph(), corner)
    [face] = find(yunet, image)
    assert np.abs(eyes_of(face) - corner - EYES).max() < 4


def test_every_face_is_found(yunet):
    found = sorted(find(yunet, face_files.two_of_her()), key=lambda face: face.box[0])
    assert [round(face.points[0, 0] / 320) for face in found] == [0, 1]
    assert np.abs(eyes_of(found[1]) - (320, 0) - EYES).max() < 4


def test_a_face_that_is_too_small_is_ignored(yunet):
    assert find(yunet, photograph().resize((30, 30), Image.Resampling.LANCZOS)) == []


@pytest.mark.parametrize("seed", range(4))
def test_no_face_is_found_in_demo_images(yunet, seed):
    scenes = shapes.random_scenes(4, torch.Generator().manual_seed(seed))
    for image in shapes.draw(scenes, 256, 256):
        assert find(yunet, images.from_tensor(image * 2 - 1)) == []


@pytest.mark.parametrize("size", [(64, 64), (1, 1), (1500, 20)])
def test_no_face_is_found_in_noise_of_any_size(yunet, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert find(yunet, Image.fromarray(pixels)) == []


def test_the_shipped_detector_is_identified():
    identified = identify_onnx_file(DEMO_MODELS / YUNET)
    assert (identified.kind, identified.detail) == (
        "face_detector",
        {"model": "yunet", "height": 640, "width": 640},
    )


def test_a_model_with_a_missing_output_is_not_a_face_detector(tmp_path):
    names = [f"{part}_{stride}" for part in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)]
    path = tmp_path / "face_detection_yunet_2023mar.onnx"
    for outputs, kind in ((names, "face_detector"), (names[:-1], "unknown")):
        path.write_bytes(model({"input": (1, 3, 640, 640)}, dict.fromkeys(outputs, (1, "n", 1))))
        assert identify_onnx_file(path).kind == kind


@pytest.mark.parametrize(
    "data",
    [(DEMO_MODELS / YUNET).read_bytes()[:-1000], b"nothing", sigmoid_of_the_first_channel(32)],
    ids=["cut short", "not one", "a matting model"],
)
def test_a_file_that_is_not_a_detector_is_unavailable(tmp_path, data):
    (tmp_path / "broken.onnx").write_bytes(data)
    file = ModelFile(path="broken.onnx", sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(ModelUnavailable, match=r"broken\.onnx"):
        OnnxStore(tmp_path, FileHashCache()).face_detector(file)


def test_a_detector_is_rejected_as_matting_model():
    with pytest.raises(ModelUnavailable, match="matting"):
        OnnxStore(DEMO_MODELS, FileHashCache()).get(demo_file(YUNET), "matting")
