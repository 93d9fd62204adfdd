"""Object detection with a model that finds red things, one in each half of the image."""

import hashlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu_runner.imaging.object_detection import ObjectDetector
from gpu_runner.models.files import FileHashCache
from gpu_runner.models.onnx_store import OnnxStore
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import InvalidRequest, ModelUnavailable
from tests.support.demo_engine import DEMO_MODELS, demo_file
from tests.support.detector_files import red_detector
from tests.support.face_files import YUNET

DISC, BAR = (40, 20, 80, 60), (180, 70, 220, 100)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    (root / "red.onnx").write_bytes(red_detector())
    (root / "segments.onnx").write_bytes(red_detector(segments=True))
    return root


@pytest.fixture(scope="module", params=["red.onnx", "segments.onnx"])
def model(root, request):
    digest = hashlib.sha256((root / request.param).read_bytes()).hexdigest()
    return OnnxStore(root, FileHashCache()).get(ModelFile(path=request.param, sha256=digest), "detector")


def scene():
    """A red disc on the left and a red bar on the right, in an image of twice the input's size."""
    image = Image.new("RGB", (256, 128), "teal")
    draw = ImageDraw.Draw(image)
    draw.ellipse(DISC, fill="red")
    draw.rectangle(BAR, fill="red")
    return image


def test_objects_are_found_by_descending_score(model):
    found = ObjectDetector(model, 0.3).detect(scene())
    assert [round(region.score, 2) for region in found] == [0.9, 0.8]
    for region, box in zip(found, (DISC, BAR), strict=True):
        assert np.abs(np.subtract(region.box, box)).max() <= 2


def test_objects_below_the_confidence_are_left_out(model):
    assert len(ObjectDetector(model, 0.85).detect(scene())) == 1
    assert ObjectDetector(model, 0.95).detect(scene()) == []


def test_an_image_without_objects_has_no_regions(model):
    assert ObjectDetector(model, 0.0001).detect(Image.new("RGB", (300, 100), "teal")) == []


def test_masks_have_the_shape_of_the_object_if_the_model_segments(model):
    [disc, _bar] = ObjectDetector(model, 0.3).detect(scene())
    mask = np.asarray(disc.draw((256, 128)))
    assert mask[40, 60] == 255
    assert mask[22, 42] == (0 if model.detail["segments"] else 255)  # a corner of the box
    assert not mask[:, 90:].any()


def test_classes_select_objects(model):
    assert len(ObjectDetector(model, 0.3, ("red thing",)).detect(scene())) == 2
    assert ObjectDetector(model, 0.3, ("square",)).detect(scene()) == []
    with pytest.raises(InvalidRequest, match="no class 'dog'"):
        ObjectDetector(model, 0.3, ("dog",))


def test_extreme_aspect_ratios_are_processed(model):
    for size in ((1, 1), (4000, 2), (2, 4000)):
        assert ObjectDetector(model, 0.3).detect(Image.new("RGB", size, "teal")) == []


def test_a_face_detector_is_no_object_detector():
    with pytest.raises(ModelUnavailable, match="not a model of the kind detector"):
        OnnxStore(DEMO_MODELS, FileHashCache()).get(demo_file(YUNET), "detector")
