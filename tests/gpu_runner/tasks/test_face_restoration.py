"""Faces of finished pictures, restored by networks that paint them green: what turns green was taken for a face."""

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
from gpu_runner.models.memory_budget import CacheEntry
from gpu_runner.models.request_models import Models
from gpu_runner.models.store import ModelStore
from gpu_runner.networks import batched_calls
from gpu_runner.networks.operations import DecodeLatent, OffloadedWork, RestoreFace
from gpu_runner.protocol import Done, Failed, GenerationRequest, ModelFile
from gpu_runner.protocol.errors import ModelUnavailable, NonFiniteOutput
from gpu_runner.protocol.generation_request import CutOut, FaceRestoration, Picture, Upscale
from gpu_runner.protocol.model_detection import safetensors_models
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
CHEEKS = (slice(105, 140), slice(140, 185))  # rows and columns well inside of the photograph's face
NOBODY = ModelFile(path="checkpoints/none.safetensors", sha256="0" * 64)


def answered(asking, shown=None):
    """Plays the engine. ``shown`` is what every latent turns out to be a picture of."""
    answer = None
    with torch.inference_mode():
        while True:
            try:
                ask = asking.send(answer)
            except StopIteration as end:
                return end.value
            match ask:
                case OffloadedWork(work=work):
                    answer = work()
                case DecodeLatent() if shown is not None:
                    answer = images.to_tensor(shown)
                case _:
                    answer = batched_calls.answer([ask])[0]


def restored(picture, visibility=1.0, restorer=None):
    restoration = Restoration(face_files.yunet(), restorer or painter(), visibility)
    return answered(restoration.patches(picture)).over(picture)


def test_a_face_is_painted_and_everything_away_from_it_is_the_same_to_the_byte():
    picture = photograph()
    after = restored(picture)
    assert (np.asarray(after)[CHEEKS] == GREEN).all()
    left, top, right, bottom = FACE
    away = changed(picture, after)
    away[top - 30 : bottom + 30, left - 30 : right + 30] = False
    assert not away.any()


@pytest.mark.parametrize("visibility", [0.25, 0.5, 0.9])
def test_visibility_is_the_share_of_what_the_restorer_drew(visibility):
    before = np.asarray(photograph(), dtype=float)[CHEEKS]
    after = np.asarray(restored(photograph(), visibility), dtype=float)[CHEEKS]
    assert np.abs(after - (before + visibility * (GREEN - before))).max() <= 1.5


def test_every_face_of_a_picture_is_restored():
    after = np.asarray(restored(two_of_her()))
    assert (after[CHEEKS] == GREEN).all()
    assert (after[:, 320:][CHEEKS] == GREEN).all()


def test_a_picture_without_faces_is_left_alone():
    picture = Image.new("RGB", (200, 120), "teal")
    assert restored(picture) is picture


def test_the_same_face_is_the_same_again_in_any_company():
    restorer = face_files.dreamer()
    face, *strangers = (torch.rand(3, 512, 512) * 2 - 1 for _ in range(3))
    with torch.inference_mode():
        alone = batched_calls.answer([RestoreFace(restorer, face)])[0]
        torch.manual_seed(99)
        together = batched_calls.answer(
            [RestoreFace(restorer, pixels) for pixels in (strangers[0], face, strangers[1])]
        )
    assert (together[1] - alone).abs().max() < 1e-4
    assert (together[0] - alone).abs().max() > 0.01


def test_a_restorer_that_gives_no_numbers_is_said_to():
    with pytest.raises(NonFiniteOutput, match="NaN values"):
        restored(photograph(), restorer=painter((float("nan"), 0, 0)))


def test_faces_are_restored_before_the_original_comes_back_around_a_mask(tiny_checkpoint):
    """The right half was not to be drawn anew, so it keeps its face."""
    root, checkpoint = tiny_checkpoint
    picture, mask = two_of_her(), Image.new("L", (640, 320))
    mask.paste(255, (0, 0, 320, 320))
    fields = {"task": "img2img", "width": 640, "height": 320, "num_inference_steps": 1, "strength": 0.0}
    request = GenerationRequest(**fields, init_images=(Picture(sha256="0" * 64),))
    store = ModelStore(root, "cpu", torch.float32, 2**34)
    canvas = Canvas(picture, overlay=Overlay(picture, mask))
    faces = Restoration(face_files.yunet(), painter(), 1.0)
    plan = replace(Plan.of(request, Models(store.get(checkpoint))), canvases=(canvas,), faces=faces)
    after = np.asarray(answered(plan.begin(0, StopFlag()), shown=picture).picture())
    assert (after[CHEEKS] == GREEN).all()
    assert (after[:, 320:] == np.asarray(picture)[:, 320:]).all()


# In the engine, among strangers --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tiny_checkpoint):
    root = tiny_checkpoint[0]
    (root / YUNET).parent.mkdir(exist_ok=True)
    shutil.copy(DEMO_MODELS / YUNET, root / YUNET)
    return root


@pytest.fixture(scope="module")
def engine(root):
    engine = Engine(ModelStore(root, "cpu", torch.float32, 2**34), torch.device("cpu"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def restorers(engine):
    """Files whose networks are in memory already: narrow ones, which no file could hold."""
    colours = {"green": face_files.GREEN, "blue": (-1.0, -1.0, 1.0), "nan": (float("nan"), 0.0, 0.0)}
    files = {}
    for name, colour in colours.items():
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        files[name] = ModelFile(path=f"face_restoration/{name}.pth", sha256=sha256)
        engine.store._shelf.put(f"face_restorer:{sha256}", CacheEntry(painter(colour, key=sha256), 1))
    return files


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
        order = order_of(
            f"faces-{next(numbers)}", checkpoint or tiny_checkpoint[1], *files, models=models, **fields
        )
        engine.submit(order, listener)
        return listener

    return submit


@pytest.fixture
def retouch(submit):
    """The faces alone: the picture keeps its size."""

    def retouch(*pictures, restorer, scale=1.0, upscaler="None", **fields):
        files = [png(picture) for picture in pictures]
        upscale = Upscale(scale=scale, upscaler=upscaler)
        return submit(
            *files,
            restorer=restorer,
            checkpoint=NOBODY,
            task="upscale",
            num_images=len(files),
            upscale=upscale,
            **fields,
        )

    return retouch


def ended_well(job):
    end = job.end()
    assert isinstance(end, Done), end
    return job.pixels


def test_many_pictures_at_once_give_what_each_gives_alone(retouch, submit, restorers):
    turned = photograph().rotate(15, fillcolor="grey")
    strangers = [submit(), submit(num_inference_steps=3)]
    blue = retouch(photograph(), restorer=restorers["blue"])
    together = retouch(two_of_her(), photograph(), turned, restorer=restorers["green"], batch_size=3)
    expected = [restored(picture) for picture in (two_of_her(), photograph(), turned)]
    for drawn, alone in zip(ended_well(together), expected, strict=True):
        assert (drawn == np.asarray(alone)).all()
    alone = retouch(turned, restorer=restorers["green"])
    assert (ended_well(alone)[0] == np.asarray(expected[2])).all()
    assert (ended_well(blue)[0][CHEEKS] == (0, 0, 255)).all()
    for job in strangers:
        ended_well(job)


def test_nobody_waits_while_faces_are_looked_for(retouch, submit, restorers, monkeypatch):
    others_are_done = threading.Event()

    def find(detector, picture):
        assert others_are_done.wait(240)
        return face_detection.find(detector, picture)

    monkeypatch.setattr(face_restoration, "find", find)
    waiting = retouch(photograph(), restorer=restorers["green"])
    ended_well(submit(num_inference_steps=2))
    others_are_done.set()
    assert (ended_well(waiting)[0][CHEEKS] == GREEN).all()


def test_a_search_that_goes_wrong_fails_its_own_job(retouch, submit, restorers, monkeypatch):
    def find(detector, picture):
        raise ZeroDivisionError

    monkeypatch.setattr(face_restoration, "find", find)
    broken = retouch(photograph(), restorer=restorers["green"])
    sound = submit(num_inference_steps=2)
    end = broken.end()
    assert isinstance(end, Failed)
    assert end.code == "internal"
    ended_well(sound)


def test_an_enlarged_picture_has_its_faces_restored_at_the_new_size(retouch, restorers):
    [drawn] = ended_well(retouch(photograph(), restorer=restorers["green"], scale=2, upscaler="Lanczos"))
    large = photograph().resize((640, 640), Image.Resampling.LANCZOS)
    assert (drawn == np.asarray(restored(large))).all()


def test_a_drawing_without_faces_is_what_it_is_without_the_restoration(submit, restorers):
    plain = ended_well(submit(seed=5))
    assert (ended_well(submit(seed=5, restorer=restorers["green"]))[0] == plain[0]).all()


def test_of_visibility_zero_nothing_is_even_loaded(submit, root):
    missing = ModelFile(path="face_restoration/missing.pth", sha256="1" * 64)
    ended_well(submit(restorer=missing, visibility=0.0))


def test_a_face_that_is_not_made_of_numbers_fails_its_own_job_and_no_other(retouch, restorers):
    broken, sound = (retouch(photograph(), restorer=restorers[name]) for name in ("nan", "green"))
    end = broken.end()
    assert isinstance(end, Failed)
    assert "NaN values" in end.message
    assert (ended_well(sound)[0] == np.asarray(restored(photograph()))).all()


def kept(root, name):
    path = root / "face_restoration" / name
    return ModelFile(path=f"face_restoration/{name}", sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def cut_short(folder):
    write_painter(folder.parent, "whole.pth")
    data = (folder / "whole.pth").read_bytes()
    (folder / "file.pth").write_bytes(data[: len(data) // 2])


def some_of_its_tensors(folder):
    shapes = {"toRGB.0.weight": (3, 4, 1, 1), "stylegan_decoder.style_mlp.1.weight": (4, 4)}
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, folder / "file.pth")


def an_upscaler(folder):
    torch.save(upscaler_files.pixel_doubler().state_dict(), folder / "file.pth")


def a_table_of_nothing(folder):
    torch.save({"weights": torch.zeros(3)}, folder / "file.pth")


@pytest.mark.parametrize(
    "write",
    [cut_short, some_of_its_tensors, an_upscaler, a_table_of_nothing],
    ids=lambda write: write.__name__,
)
def test_a_file_that_is_no_restorer_fails_its_own_job_by_the_files_name(retouch, restorers, root, write):
    (root / "face_restoration").mkdir(exist_ok=True)
    write(root / "face_restoration")
    broken = retouch(photograph(), restorer=kept(root, "file.pth"))
    sound = retouch(photograph(), restorer=restorers["green"])
    end = broken.end()
    assert isinstance(end, Failed)
    assert (end.code, "face_restoration/file.pth" in end.message) == ("model_unavailable", True)
    ended_well(sound)


# Files --------------------------------------------------------------------------------------------------------------


def test_a_file_of_gfpgans_layout_is_loaded_whole_counted_and_evicted(tmp_path):
    """In full precision, on a device of half, too. Its forward pass takes seconds: it is run once in all of these tests."""
    store = ModelStore(tmp_path, "cpu", torch.float16, 2**29)
    file = write_painter(tmp_path, "GFPGANv1.4.pth", colour=(0.5, -0.5, 0.0))
    restorer = store.face_restorer(file)
    assert restorer.size_bytes > 340_000_000
    assert [(model.path, model.size_bytes) for model in store.loaded()] == [(file.path, restorer.size_bytes)]
    assert store.face_restorer(file) is restorer
    [painted] = restorer([torch.rand(3, 512, 512)])
    assert painted.shape == (3, 512, 512)
    assert (painted == torch.tensor((0.5, -0.5, 0.0)).view(3, 1, 1)).all()
    other = write_painter(tmp_path, "another.pth", colour=(0.0, 0.0, 0.0))
    store.face_restorer(other)
    assert [model.path for model in store.loaded()] == [other.path]


def test_a_face_restorer_is_no_upscaler(tmp_path):
    store = ModelStore(tmp_path, "cpu", torch.float32, 2**34)
    with pytest.raises(ModelUnavailable, match="its purpose is FaceSR"):
        store.upscaler(write_painter(tmp_path, "GFPGANv1.4.pth"))


@pytest.mark.parametrize("prefix", ["", "params_ema."])
def test_it_is_known_by_its_tensors_and_not_by_its_name(tmp_path, prefix):
    names = ("toRGB.0.weight", "stylegan_decoder.style_mlp.1.weight")
    for name in names:
        save_file({prefix + name: torch.zeros(2, 2)}, tmp_path / "GFPGAN.safetensors")
        assert safetensors_models.identify_file(tmp_path / "GFPGAN.safetensors").kind == "unknown"
    save_file({prefix + name: torch.zeros(2, 2) for name in names}, tmp_path / "cat.safetensors")
    assert safetensors_models.identify_file(tmp_path / "cat.safetensors").kind == "face_restorer"


@pytest.mark.parametrize(
    "fields", [{"task": "cut_out", "cut_out": CutOut()}, {"task": "control_map", "controls": ({},)}]
)
def test_what_draws_no_picture_restores_no_faces(fields):
    begin = {"init_images": (Picture(sha256="0" * 64),)}
    with pytest.raises(ValidationError, match="face_restoration is not allowed"):
        GenerationRequest(**fields, **begin, face_restoration=FaceRestoration())
