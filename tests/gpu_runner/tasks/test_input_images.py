"""Inpainting, second passes and enlarging in the engine, among strangers."""

import hashlib
import io
import itertools

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image

from demo import architecture
from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.diffusion import unet as denoiser
from gpu_runner.protocol import Done, Failed, ModelFile
from gpu_runner.protocol.generation_request import Hires, Inpaint, Picture, Upscale
from tests.support import upscaler_files
from tests.support.event_listener import Listener, order_of, picture_file
from tests.support.tiny_models import TinyModules, single_file_tensors, write_checkpoint

pytestmark = pytest.mark.slow

RED = picture_file("red")


def mask_file(box=(0, 0, 32, 64), size=(64, 64)):
    mask, file = Image.new("L", size), io.BytesIO()
    mask.paste(255, box)
    mask.save(file, "PNG")
    return file.getvalue()


def named(data):
    return Picture(sha256=hashlib.sha256(data).hexdigest())


@pytest.fixture(scope="module")
def root(tiny_checkpoint):
    return tiny_checkpoint[0]


@pytest.fixture(scope="module")
def engine(root):
    engine = Engine(ModelStore(root, "cpu", torch.float32, 2**34), torch.device("cpu"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def submit(engine, tiny_checkpoint):
    numbers = itertools.count()

    def submit(*files, checkpoint=None, **fields):
        fields = {"prompt": "a red circle", "num_inference_steps": 3, **fields}
        listener = Listener()
        name = f"picture-{next(numbers)}"
        engine.submit(order_of(name, checkpoint or tiny_checkpoint[1], *files, **fields), listener)
        return listener

    return submit


@pytest.fixture
def inpaint(submit):
    def inpaint(picture=RED, mask=None, **fields):
        mask = mask or mask_file()
        own = {name: fields.pop(name) for name in list(fields) if name in Inpaint.model_fields}
        return submit(picture, more=[mask], inpaint=Inpaint(mask=named(mask), **own), **fields)

    return inpaint


def pixels(job):
    end = job.end()
    assert isinstance(end, Done), end
    return job.pixels[0]


HIRES = {"hires": Hires(width=96, height=64, strength=0.6), "seed": 7}


@pytest.mark.parametrize("sampler", ["Euler", "DDIM"])
def test_inpainting_is_the_same_alone_and_in_company(inpaint, submit, sampler):
    mine = {"sampler": sampler, "seed": 3, "content": "noise", "overlay": False}
    alone = pixels(inpaint(**mine))
    strangers = [submit(seed=1), inpaint(seed=2, mask=mask_file((0, 0, 64, 20))), submit(RED, seed=4)]
    together = inpaint(**mine)
    assert np.abs(pixels(together) - alone).max() <= 1
    assert all(isinstance(job.end(), Done) for job in strangers)


def test_a_second_pass_is_the_same_alone_and_in_company(submit):
    alone = submit(**HIRES)
    assert pixels(alone).shape == (64, 96, 3)
    assert (alone.images[0].width, alone.images[0].height) == (96, 64)
    strangers = [submit(seed=1), submit(seed=2, width=96), submit(**(HIRES | {"seed": 8}))]
    together = submit(**HIRES)
    assert np.abs(pixels(together) - alone.pixels[0]).max() <= 1
    assert all(isinstance(job.end(), Done) for job in strangers)


def test_progress_counts_both_passes(submit):
    job = submit(hires=Hires(width=96, height=64, num_inference_steps=2, strength=0.6), num_images=2)
    assert isinstance(job.end(), Done)
    assert [progress.step for progress in job.progress][-1] == 10
    assert {progress.steps for progress in job.progress} == {10}


def test_a_second_pass_of_strength_zero_runs_no_step(submit):
    job = submit(hires=Hires(width=96, height=64, strength=0.0))
    assert pixels(job).shape == (64, 96, 3)
    assert job.progress[-1].steps == 3


def test_an_upscaler_file_stands_between_the_passes(submit, root):
    file = upscaler_files.write(root, "doubler.safetensors", upscaler_files.pixel_doubler())
    hires = Hires(width=128, height=96, upscaler="doubler", strength=0.3)
    assert pixels(submit(hires=hires, models={"upscaler:doubler": file})).shape == (96, 128, 3)


def test_init_images_grow_through_an_upscaler_file(submit, root):
    file = upscaler_files.write(root, "doubler.safetensors", upscaler_files.pixel_doubler())
    small = picture_file("green", (30, 20))
    job = submit(small, upscaler="doubler", models={"upscaler:doubler": file})
    assert pixels(job).shape == (64, 64, 3)


def test_pictures_are_enlarged_without_a_checkpoint(submit, root):
    file = upscaler_files.write(root, "doubler.safetensors", upscaler_files.pixel_doubler())
    nobody = ModelFile(path="checkpoints/none.safetensors", sha256="0" * 64)
    upscale = Upscale(scale=3, upscaler="doubler")
    fields = {"task": "upscale", "num_images": 2, "upscale": upscale}
    files = [picture_file("green", (24, 16)), picture_file("blue", (16, 16))]
    job = submit(*files, checkpoint=nobody, models={"upscaler:doubler": file}, **fields)
    done = job.end()
    assert [picture.shape for picture in job.pixels] == [(48, 72, 3), (48, 48, 3)]
    assert (done.steps_run, job.progress[-1].fraction) == (2, 1)


def test_interpolation_of_many_pictures_asks_nothing_of_the_device(submit):
    upscale = Upscale(width=40, height=20, upscaler="Lanczos", crop=True)
    job = submit(*[picture_file("green", (24, 16))] * 200, task="upscale", num_images=200, upscale=upscale)
    assert isinstance(job.end(), Done)
    assert {picture.shape for picture in job.pixels} == {(20, 40, 3)}
    assert len(job.pixels) == 200


def test_a_result_too_large_fails_for_its_job_alone(submit):
    upscale = Upscale(scale=16, upscaler="Lanczos")
    job = submit(picture_file("red", (1000, 1000)), task="upscale", upscale=upscale)
    end = job.end()
    assert isinstance(end, Failed)
    assert (end.code, "more than" in end.message) == ("bad_request", True)
    assert isinstance(submit().end(), Done)


def test_a_mask_that_cannot_be_read_is_a_bad_request(inpaint):
    end = inpaint(mask=b"no picture").end()
    assert isinstance(end, Failed)
    assert end.code == "bad_request"


@pytest.mark.parametrize("size", [(7, 300), (333, 41), (1, 1)])
@pytest.mark.parametrize("mode", ["stretch", "crop", "fill", "latent"])
def test_init_images_of_any_size_are_drawn_over(submit, size, mode):
    job = submit(picture_file("red", size), resize_mode=mode, num_inference_steps=1)
    assert pixels(job).shape == (64, 64, 3)


def test_exact_steps_runs_as_many_as_were_asked_for(submit):
    for exact, steps in ((False, 3), (True, 4)):
        job = submit(RED, exact_steps=exact, strength=0.5, num_inference_steps=4)
        assert job.end().steps_run == steps


def test_transparent_parts_show_the_background(submit):
    file = io.BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(file, "PNG")
    drawn = {
        colour: pixels(submit(file.getvalue(), background=colour, strength=0.0, num_inference_steps=2))
        for colour in ("#ffffff", "#000000")
    }
    assert np.abs(drawn["#ffffff"] - drawn["#000000"]).mean() > 1


@pytest.fixture(scope="module")
def made_for_inpainting(root, tiny_modules):
    """A UNet of nine channels."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        unet = UNet2DConditionModel(**(architecture.UNET_CONFIG | {"in_channels": 9}))
    modules = TinyModules(unet.half(), tiny_modules.vae, tiny_modules.text_encoder)
    return write_checkpoint(root, "checkpoints/nine.safetensors", single_file_tensors(modules))


@pytest.fixture
def shown(monkeypatch):
    """What the UNets were shown beside x."""
    seen, seeing = [], denoiser._seen

    def look(question):
        seen.append(question.extra)
        return seeing(question)

    monkeypatch.setattr(denoiser, "_seen", look)
    return seen


def test_a_checkpoint_made_for_inpainting_is_shown_the_mask(inpaint, made_for_inpainting, shown):
    job = inpaint(checkpoint=made_for_inpainting, blur_x=0, blur_y=0)
    pixels(job)
    assert shown[0].shape == (5, 8, 8)
    assert torch.equal(shown[0][0], torch.cat([torch.ones(8, 4), torch.zeros(8, 4)], dim=1))
    assert shown[0][1:, :, :3].std() < shown[0][1:].std()


def test_without_a_mask_it_is_told_that_all_is_masked(submit, made_for_inpainting, shown):
    pixels(submit(checkpoint=made_for_inpainting))
    pixels(submit(RED, checkpoint=made_for_inpainting))
    assert all((extra[0] == 1).all() for extra in shown)
    assert torch.equal(shown[0], shown[-1])
