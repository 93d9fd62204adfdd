"""Face restoration, with networks that paint every detected face in one color."""

import hashlib
import itertools
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import save_file

from gpu_runner.engine.engine import Engine
from gpu_runner.imaging import face_detection, images
from gpu_runner.models.request_models import Models
from gpu_runner.models.store import ModelStore
from gpu_runner.networks import batched_calls
from gpu_runner.networks.operations import DecodeLatent, OffloadedWork, RestoreFace
from gpu_runner.protocol import Done, Failed, GenerationRequest, ModelFile
from gpu_runner.protocol.errors import ModelUnavailable, NonFiniteOutput
from gpu_runner.protocol.model_detection import safetensors_models
from gpu_runner.protocol.request_parts.backgrounds import CutOut
from gpu_runner.protocol.request_parts.details import FaceRestoration
from gpu_runner.protocol.request_parts.upscaling import Upscale
from gpu_runner.protocol.request_parts.values import InputImage
from gpu_runner.tasks import face_restoration
from gpu_runner.tasks.denoising_loop import StopFlag
from gpu_runner.tasks.face_restoration import Restoration
from gpu_runner.tasks.generation import Plan
from gpu_runner.tasks.init_image import Canvas, Overlay
from tests.support import face_files, upscaler_files
from tests.support.demo_engine import DEMO_MODELS, demo_file
from tests.support.event_listener import Listener, order_of, png
from tests.support.face_files import FACE, YUNET, changed, painter, photograph, two_of_her, write_painter

pytestmark = pytest.mark.slow

GREEN = np.array((0, 255, 0))
CHEEKS = (slice(105, 140), slice(140, 185))  # rows and columns inside of the face in the photograph
NO_CHECKPOINT = ModelFile(path="checkpoints/none.safetensors", sha256="0" * 64)


def run_on_device(generator, decoded=None):
    """Execute the operations of a generator and return its result. Every latent decodes to ``decoded``."""
    result = None
    with torch.inference_mode():
        while True:
            try:
                operation = generator.send(result)
            except StopIteration as end:
                return end.value
            match operation:
                case OffloadedWork(work=work):
                    result = work()
                case DecodeLatent() if decoded is not None:
                    result = images.to_tensor(decoded)
                case _:
                    result = batched_calls.execute([operation])[0]


def restored(image, visibility=1.0, restorer=None):
    restoration = Restoration(face_files.yunet(), restorer or painter(), visibility)
    return run_on_device(restoration.patches(image)).over(image)


def test_only_pixels_near_a_face_change():
    image = photograph()
    after = restored(image)
    assert (np.asarray(after)[CHEEKS] == GREEN).all()
    left, top, right, bottom = FACE
    away = changed(image, after)
    away[top - 30 : bottom + 30, left - 30 : right + 30] = False
    assert not away.any()


@pytest.mark.parametrize("visibility", [0.25, 0.5, 0.9])
def test_visibility_is_the_opacity_of_the_restored_face(visibility):
    before = np.asarray(photograph(), dtype=float)[CHEEKS]
    after = np.asarray(restored(photograph(), visibility), dtype=float)[CHEEKS]
    assert np.abs(after - (before + visibility * (GREEN - before))).max() <= 1.5


def test_every_face_of_an_image_is_restored():
    after = np.asarray(restored(two_of_her()))
    assert (after[CHEEKS] == GREEN).all()
    assert (after[:, 320:][CHEEKS] == GREEN).all()


def test_an_image_without_faces_is_not_changed():
    image = Image.new("RGB", (200, 120), "teal")
    assert restored(image) is image


def test_a_restorer_does_not_depend_on_the_global_random_state():
    restorer, face = face_files.dreamer(), torch.rand(3, 512, 512) * 2 - 1
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        results += batched_calls.execute([RestoreFace(restorer, face)])
    assert torch.equal(*results)


def test_nan_values_of_a_restorer_raise_an_error():
    with pytest.raises(NonFiniteOutput, match="NaN values"):
        restored(photograph(), restorer=painter((float("nan"), 0, 0)))


def test_faces_are_restored_before_the_unmasked_original_is_pasted_back(tiny_checkpoint):
    """The right half is not masked, so its face stays as it is."""
    root, checkpoint = tiny_checkpoint
    image, mask = two_of_her(), Image.new("L", (640, 320))
    mask.paste(255, (0, 0, 320, 320))
    fields = {"task": "img2img", "width": 640, "height": 320, "num_inference_steps": 1, "strength": 0.0}
    request = GenerationRequest(**fields, init_images=(InputImage(sha256="0" * 64),))
    store = ModelStore(root, "cpu", torch.float32, 2**34)
    canvas = Canvas(image, overlay=Overlay(image, mask))
    faces = Restoration(face_files.yunet(), painter(), 1.0)
    plan = replace(Plan.of(request, Models(store.get(checkpoint))), canvases=(canvas,), faces=faces)
    after = np.asarray(run_on_device(plan.begin(0, StopFlag()), decoded=image).image())
    assert (after[CHEEKS] == GREEN).all()
    assert (after[:, 320:] == np.asarray(image)[:, 320:]).all()


# In the engine -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tiny_checkpoint):
    root = tiny_checkpoint[0]
    (root / YUNET).parent.mkdir(exist_ok=True)
    shutil.copy(DEMO_MODELS / YUNET, root / YUNET)
    return root


COLORS = {"green": face_files.GREEN, "blue": (-1.0, -1.0, 1.0), "nan": (float("nan"), 0.0, 0.0)}


class StoreWithPainters(ModelStore):
    """A store with face restorers of few channels, which no model file can have."""

    def __init__(self, root):
        super().__init__(root, "cpu", torch.float32, 2**34)
        self.painters = {
            ModelFile(path=f"face_restoration/{name}.pth", sha256=digest(name.encode())): painter(color, name)
            for name, color in COLORS.items()
        }

    def face_restorer(self, file):
        return self.painters[file] if file in self.painters else super().face_restorer(file)


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def engine(root):
    engine = Engine(StoreWithPainters(root), torch.device("cpu"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def restorers(engine):
    """Model files of the painters, by color."""
    return dict(zip(COLORS, engine.store.painters, strict=True))


@pytest.fixture
def submit(engine, tiny_checkpoint):
    numbers = itertools.count()

    def submit(*files, restorer=None, checkpoint=None, visibility=1.0, **fields):
        models = {}
        if restorer is not None:
            models = {"face_restorer:painter": restorer, "face_detector:yunet": demo_file(YUNET)}
            part = FaceRestoration(model="painter", detector="yunet", visibility=visibility)
            fields["face_restoration"] = part
        listener = Listener()
        run_request = order_of(
            f"faces-{next(numbers)}", checkpoint or tiny_checkpoint[1], *files, models=models, **fields
        )
        engine.submit(run_request, listener)
        return listener

    return submit


@pytest.fixture
def restore_faces(submit):
    """Submit an upscale task of scale 1, which restores faces only."""

    def restore_faces(*init_images, restorer, scale=1.0, upscaler="None", **fields):
        files = [png(image) for image in init_images]
        upscale = Upscale(scale=scale, upscaler=upscaler)
        return submit(
            *files,
            restorer=restorer,
            checkpoint=NO_CHECKPOINT,
            task="upscale",
            num_images=len(files),
            upscale=upscale,
            **fields,
        )

    return restore_faces


def outputs_of(job):
    end = job.end()
    assert isinstance(end, Done), end
    return job.pixels


def test_the_faces_of_every_image_of_a_job_are_restored(restore_faces, restorers):
    turned = photograph().rotate(15, fillcolor="grey")
    init_images = [two_of_her(), photograph(), turned]
    job = restore_faces(*init_images, restorer=restorers["green"], batch_size=3)
    for output, init_image in zip(outputs_of(job), init_images, strict=True):
        assert (output == np.asarray(restored(init_image))).all()


def test_each_job_uses_its_own_restorer(restore_faces, restorers):
    jobs = [restore_faces(photograph(), restorer=restorers[name]) for name in ("blue", "green")]
    colors = [outputs_of(job)[0][CHEEKS].reshape(-1, 3) for job in jobs]
    assert (colors[0] == (0, 0, 255)).all()
    assert (colors[1] == (0, 255, 0)).all()


def test_other_jobs_continue_during_face_detection(restore_faces, submit, restorers, monkeypatch):
    others_are_done = threading.Event()

    def find(detector, image):
        assert others_are_done.wait(240)
        return face_detection.find(detector, image)

    monkeypatch.setattr(face_restoration, "find", find)
    waiting = restore_faces(photograph(), restorer=restorers["green"])
    outputs_of(submit(num_inference_steps=2))
    others_are_done.set()
    assert (outputs_of(waiting)[0][CHEEKS] == GREEN).all()


def test_an_error_in_face_detection_fails_its_own_job_only(restore_faces, submit, restorers, monkeypatch):
    def find(detector, image):
        raise ZeroDivisionError

    monkeypatch.setattr(face_restoration, "find", find)
    broken = restore_faces(photograph(), restorer=restorers["green"])
    sound = submit(num_inference_steps=2)
    end = broken.end()
    assert isinstance(end, Failed)
    assert end.code == "internal"
    outputs_of(sound)


def test_faces_are_restored_after_upscaling(restore_faces, restorers):
    [output] = outputs_of(
        restore_faces(photograph(), restorer=restorers["green"], scale=2, upscaler="Lanczos")
    )
    large = photograph().resize((640, 640), Image.Resampling.LANCZOS)
    assert (output == np.asarray(restored(large))).all()


def test_a_generated_image_without_faces_is_not_changed(submit, restorers):
    plain = outputs_of(submit(seed=5))
    assert (outputs_of(submit(seed=5, restorer=restorers["green"]))[0] == plain[0]).all()


def test_visibility_0_does_not_load_the_restorer(submit, root):
    missing = ModelFile(path="face_restoration/missing.pth", sha256="1" * 64)
    outputs_of(submit(restorer=missing, visibility=0.0))


def test_nan_values_of_a_restorer_fail_its_own_job_only(restore_faces, restorers):
    broken, sound = (restore_faces(photograph(), restorer=restorers[name]) for name in ("nan", "green"))
    end = broken.end()
    assert isinstance(end, Failed)
    assert "NaN values" in end.message
    assert (outputs_of(sound)[0] == np.asarray(restored(photograph()))).all()


def model_file(root, name):
    path = root / "face_restoration" / name
    return ModelFile(path=f"face_restoration/{name}", sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def truncated(folder):
    write_painter(folder.parent, "whole.pth")
    data = (folder / "whole.pth").read_bytes()
    (folder / "file.pth").write_bytes(data[: len(data) // 2])


def with_missing_tensors(folder):
    shapes = {"toRGB.0.weight": (3, 4, 1, 1), "stylegan_decoder.style_mlp.1.weight": (4, 4)}
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, folder / "file.pth")


def of_an_upscaler(folder):
    torch.save(upscaler_files.pixel_doubler().state_dict(), folder / "file.pth")


def with_other_tensors(folder):
    torch.save({"weights": torch.zeros(3)}, folder / "file.pth")


@pytest.mark.parametrize(
    "write",
    [truncated, with_missing_tensors, of_an_upscaler, with_other_tensors],
    ids=lambda write: write.__name__,
)
def test_an_invalid_restorer_file_fails_its_own_job_only_and_is_named(restore_faces, restorers, root, write):
    (root / "face_restoration").mkdir(exist_ok=True)
    write(root / "face_restoration")
    broken = restore_faces(photograph(), restorer=model_file(root, "file.pth"))
    sound = restore_faces(photograph(), restorer=restorers["green"])
    end = broken.end()
    assert isinstance(end, Failed)
    assert (end.code, "face_restoration/file.pth" in end.message) == ("model_unavailable", True)
    outputs_of(sound)


# Files --------------------------------------------------------------------------------------------------------------


def test_a_gfpgan_file_is_loaded_counted_and_evicted(tmp_path):
    """Loaded in float32 even if the device uses float16. The only test with a full network, whose forward pass takes seconds."""
    store = ModelStore(tmp_path, "cpu", torch.float16, 2**29)
    file = write_painter(tmp_path, "GFPGANv1.4.pth", (0.5, -0.5, 0.0))
    restorer = store.face_restorer(file)
    assert restorer.size_bytes > 340_000_000
    assert [(model.path, model.size_bytes) for model in store.loaded()] == [(file.path, restorer.size_bytes)]
    assert store.face_restorer(file) is restorer
    [painted] = restorer([torch.rand(3, 512, 512)])
    assert painted.shape == (3, 512, 512)
    assert (painted == torch.tensor((0.5, -0.5, 0.0)).view(3, 1, 1)).all()
    other = write_painter(tmp_path, "another.pth", (0.0, 0.0, 0.0))
    store.face_restorer(other)
    assert [model.path for model in store.loaded()] == [other.path]


def test_a_face_restorer_is_no_upscaler(tmp_path):
    store = ModelStore(tmp_path, "cpu", torch.float32, 2**34)
    with pytest.raises(ModelUnavailable, match="its purpose is FaceSR"):
        store.upscaler(write_painter(tmp_path, "GFPGANv1.4.pth"))


@pytest.mark.parametrize("prefix", ["", "params_ema."])
def test_a_face_restorer_is_identified_by_its_tensors_not_by_its_file_name(tmp_path, prefix):
    names = ("toRGB.0.weight", "stylegan_decoder.style_mlp.1.weight")
    for name in names:
        save_file({prefix + name: torch.zeros(2, 2)}, tmp_path / "GFPGAN.safetensors")
        assert safetensors_models.identify_file(tmp_path / "GFPGAN.safetensors").kind == "unknown"
    save_file({prefix + name: torch.zeros(2, 2) for name in names}, tmp_path / "cat.safetensors")
    assert safetensors_models.identify_file(tmp_path / "cat.safetensors").kind == "face_restorer"


@pytest.mark.parametrize(
    "fields", [{"task": "cut_out", "cut_out": CutOut()}, {"task": "control_map", "controls": ({},)}]
)
def test_face_restoration_is_not_allowed_for_tasks_without_photographs(fields):
    init_images = {"init_images": (InputImage(sha256="0" * 64),)}
    with pytest.raises(ValidationError, match="face_restoration is not allowed"):
        GenerationRequest(**fields, **init_images, face_restoration=FaceRestoration())
