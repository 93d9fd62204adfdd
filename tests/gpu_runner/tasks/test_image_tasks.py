"""Tasks without a UNet: cut_out and control_map."""

import hashlib
import io
import itertools

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from gpu_runner.controlnet.preprocessors import openpose
from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import Done, Failed, Findings, ModelFile
from gpu_runner.protocol.request_parts.backgrounds import AlphaMatting, CutOut
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.upscaling import Upscale
from tests.support.demo_engine import DEMO_MODELS, demo_file
from tests.support.event_listener import Listener, order_of
from tests.support.face_files import photograph
from tests.support.pose_models import write_pose_models

pytestmark = pytest.mark.slow


def scene() -> Image.Image:
    image = Image.new("RGB", (96, 64), "white")
    image.paste("red", (32, 16, 64, 48))
    return image


def file_of(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def engine():
    engine = Engine(ModelStore(DEMO_MODELS, "cpu", torch.float32, 2**34), torch.device("cpu"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def submit(engine):
    numbers = itertools.count()
    no_checkpoint = ModelFile(path="checkpoints/none.safetensors", sha256=hashlib.sha256(b"").hexdigest())

    def submit(*init_images, models=None, **fields):
        listener, files = Listener(), [file_of(image) for image in init_images]
        run_request = order_of(f"ready-{next(numbers)}", no_checkpoint, *files, models=models, **fields)
        engine.submit(run_request, listener)
        return listener

    return submit


def test_cut_out_makes_the_background_transparent(submit):
    models = {"matting:u2netp": demo_file("matting/u2netp.onnx")}
    job = submit(scene(), task="cut_out", cut_out=CutOut(matting_model="u2netp"), models=models)
    end = job.end()
    assert isinstance(end, Done), end
    (cut,) = job.pixels
    assert cut.shape == (64, 96, 4)
    assert (cut[32, 48, :3] == (255, 0, 0)).all()
    assert cut[32, 48, 3] > 200
    assert cut[4, 4, 3] < 50
    assert end.steps_run == 1


def test_mask_only_returns_the_mask_of_the_subject(submit):
    models = {"matting:u2netp": demo_file("matting/u2netp.onnx")}
    part = CutOut(matting_model="u2netp", mask_only=True)
    job = submit(scene(), task="cut_out", cut_out=part, models=models)
    assert isinstance(job.end(), Done)
    (mask,) = job.pixels
    assert (mask.shape, mask[32, 48] > 200, mask[4, 4] < 50) == ((64, 96), True, True)


def test_with_mask_appends_the_masks(submit):
    models = {"matting:u2netp": demo_file("matting/u2netp.onnx")}
    init_images = [scene(), scene().transpose(Image.Transpose.ROTATE_180)]
    part = CutOut(matting_model="u2netp", with_mask=True)
    job = submit(*init_images, task="cut_out", cut_out=part, models=models, num_images=2)
    end = job.end()
    assert isinstance(end, Done), end
    assert [output.shape for output in job.pixels] == [(64, 96, 4)] * 2 + [(64, 96)] * 2
    for subject, mask in zip(job.pixels[:2], job.pixels[2:], strict=True):
        assert np.array_equal(subject[:, :, 3], mask)


def test_one_init_image_is_cut_out_for_every_image(submit):
    models = {"matting:u2netp": demo_file("matting/u2netp.onnx")}
    part = CutOut(matting_model="u2netp", with_mask=True)
    job = submit(scene(), task="cut_out", cut_out=part, models=models, num_images=2)
    assert isinstance(job.end(), Done)
    assert [output.ndim for output in job.pixels] == [3, 3, 2, 2]


def test_mask_only_and_with_mask_exclude_each_other():
    with pytest.raises(ValidationError, match="must not both be true"):
        CutOut(mask_only=True, with_mask=True)


def test_control_map_returns_the_map_of_the_unit(submit):
    image = scene().resize((128, 128))
    unit = ControlUnit(module="canny", processor_res=128, threshold_a=50, threshold_b=150)
    job = submit(image, task="control_map", controls=(unit,))
    assert isinstance(job.end(), Done)
    expected = cv2.Canny(np.asarray(image), 50, 150)
    assert np.array_equal(job.pixels[0][:, :, 0], expected)


def test_each_init_image_has_its_own_control_map(submit):
    init_images = [scene(), scene().transpose(Image.Transpose.ROTATE_180).point(lambda level: 255 - level)]
    unit = ControlUnit(module="invert")
    job = submit(*init_images, task="control_map", controls=(unit,), num_images=2)
    assert isinstance(job.end(), Done)
    for control_map, image in zip(job.pixels, init_images, strict=True):
        assert np.array_equal(control_map, 255 - np.asarray(image).astype(int))


def test_control_map_of_an_unsupported_preprocessor_is_a_bad_request(submit):
    job = submit(scene(), task="control_map", controls=(ControlUnit(module="mlsd"),))
    end = job.end()
    assert isinstance(end, Failed)
    assert end.code == "bad_request"


@pytest.fixture(scope="module")
def poser(tmp_path_factory):
    """An engine whose models are the networks of MediaPipe Holistic, and their entry in a request."""
    root = tmp_path_factory.mktemp("models")
    path = write_pose_models(root / "preprocessors" / "mediapipe_holistic.safetensors")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    models = {"preprocessor:mediapipe_holistic": ModelFile(path=str(path.relative_to(root)), sha256=sha256)}
    engine = Engine(ModelStore(root, "cpu", torch.float32, 2**34), torch.device("cpu"))
    engine.start()
    yield engine, models
    engine.stop()


def test_control_maps_of_people_come_with_their_poses(poser):
    engine, models = poser
    listener, files = Listener(), [file_of(photograph()), file_of(scene())]
    no_checkpoint = ModelFile(path="checkpoints/none.safetensors", sha256=hashlib.sha256(b"").hexdigest())
    unit = ControlUnit(module="openpose_full", processor_res=320)
    engine.submit(
        order_of(
            "poses", no_checkpoint, *files, models=models, task="control_map", controls=(unit,), num_images=2
        ),
        listener,
    )
    end = listener.end()
    assert isinstance(end, Done), end
    assert end.steps_run == 2
    found = {event.index: event.data for event in listener.events if isinstance(event, Findings)}
    assert [len(found[index].people) for index in (0, 1)] == [1, 0]
    assert [image.index for image in listener.images] == [0, 1]
    for index, control_map in enumerate(listener.pixels):
        assert np.array_equal(control_map, np.asarray(openpose.draw(found[index])))
    assert listener.pixels[0].any()
    assert not listener.pixels[1].any()


def half_transparent() -> Image.Image:
    image = scene().convert("RGBA")
    image.paste((0, 255, 0, 0), (0, 0, 96, 16))
    return image


@pytest.mark.parametrize(
    ("scale", "upscaler", "size"),
    [(2, "Lanczos", (192, 128)), (2, "Nearest", (192, 128)), (1, "None", (96, 64))],
)
def test_upscaling_keeps_transparency(submit, scale, upscaler, size):
    job = submit(half_transparent(), task="upscale", upscale=Upscale(scale=scale, upscaler=upscaler))
    end = job.end()
    assert isinstance(end, Done), end
    (large,) = job.pixels
    assert large.shape == (size[1], size[0], 4)
    assert (large[2, 4, 3], large[-3, 4, 3]) == (0, 255)
    assert (large[size[1] // 2, size[0] // 2, :3] == (255, 0, 0)).all()


def test_upscaling_an_opaque_image_adds_no_transparency(submit):
    job = submit(scene(), task="upscale", upscale=Upscale(scale=2, upscaler="Lanczos"))
    assert isinstance(job.end(), Done)
    assert job.pixels[0].shape == (128, 192, 3)


def test_inverted_cut_out_removes_the_subject(submit):
    models = {"matting:u2netp": demo_file("matting/u2netp.onnx")}
    kept, inverted = (
        submit(
            scene(),
            task="cut_out",
            cut_out=CutOut(matting_model="u2netp", mask_only=True, invert=invert),
            models=models,
        )
        for invert in (False, True)
    )
    assert isinstance(kept.end(), Done)
    assert isinstance(inverted.end(), Done)
    assert np.array_equal(kept.pixels[0], 255 - inverted.pixels[0].astype(int))


def test_post_processed_mask_has_two_levels_and_alpha_matting_more(submit):
    models = {"matting:u2netp": demo_file("matting/u2netp.onnx")}
    hard = CutOut(matting_model="u2netp", post_process_mask=True)
    job = submit(scene(), task="cut_out", cut_out=hard, models=models)
    assert isinstance(job.end(), Done)
    assert set(np.unique(job.pixels[0][:, :, 3])) == {0, 255}
    soft = hard.model_copy(update={"alpha_matting": AlphaMatting(erode_size=8)})
    job = submit(scene(), task="cut_out", cut_out=soft, models=models)
    assert isinstance(job.end(), Done)
    assert len(np.unique(job.pixels[0][:, :, 3])) > 2
