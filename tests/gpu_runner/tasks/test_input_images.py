"""Init images, masks, hires passes and upscaling in the engine."""

import hashlib
import io
import itertools

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image

from demo.architectures import demo_model as architecture
from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import Done, Failed, ModelFile
from gpu_runner.protocol.request_parts.passes import Hires, Inpaint
from gpu_runner.protocol.request_parts.upscaling import Upscale
from gpu_runner.protocol.request_parts.values import InputImage
from tests.support import upscaler_files
from tests.support.event_listener import Listener, image_file, order_of
from tests.support.tiny_models import TinyModules, single_file_tensors, write_checkpoint

pytestmark = pytest.mark.slow

RED = image_file("red")


def mask_file(box=(0, 0, 32, 64), size=(64, 64)):
    mask, file = Image.new("L", size), io.BytesIO()
    mask.paste(255, box)
    mask.save(file, "PNG")
    return file.getvalue()


def name_of(data):
    return InputImage(sha256=hashlib.sha256(data).hexdigest())


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
        name = f"job-{next(numbers)}"
        engine.submit(order_of(name, checkpoint or tiny_checkpoint[1], *files, **fields), listener)
        return listener

    return submit


@pytest.fixture
def inpaint(submit):
    def inpaint(init_image=RED, mask=None, **fields):
        mask = mask or mask_file()
        own = {name: fields.pop(name) for name in list(fields) if name in Inpaint.model_fields}
        return submit(init_image, more=[mask], inpaint=Inpaint(mask=name_of(mask), **own), **fields)

    return inpaint


def pixels(job):
    end = job.end()
    assert isinstance(end, Done), end
    return job.pixels[0]


def test_a_hires_image_has_the_size_of_the_second_pass(submit):
    job = submit(hires=Hires(width=96, height=64, strength=0.6))
    assert pixels(job).shape == (64, 96, 3)
    assert (job.images[0].width, job.images[0].height) == (96, 64)


def test_progress_counts_both_passes(submit):
    job = submit(hires=Hires(width=96, height=64, num_inference_steps=2, strength=0.6), num_images=2)
    assert isinstance(job.end(), Done)
    assert [progress.step for progress in job.progress][-1] == 10
    assert {progress.steps for progress in job.progress} == {10}


def test_a_hires_pass_of_strength_0_runs_no_step(submit):
    job = submit(hires=Hires(width=96, height=64, strength=0.0))
    assert pixels(job).shape == (64, 96, 3)
    assert job.progress[-1].steps == 3


def test_an_upscaler_model_enlarges_between_the_passes(submit, root):
    file = upscaler_files.write(root, "doubler.safetensors", upscaler_files.pixel_doubler())
    hires = Hires(width=128, height=96, upscaler="doubler", strength=0.3)
    assert pixels(submit(hires=hires, models={"upscaler:doubler": file})).shape == (96, 128, 3)


def test_an_upscaler_model_enlarges_init_images(submit, root):
    file = upscaler_files.write(root, "doubler.safetensors", upscaler_files.pixel_doubler())
    small = image_file("green", (30, 20))
    job = submit(small, upscaler="doubler", models={"upscaler:doubler": file})
    assert pixels(job).shape == (64, 64, 3)


def test_upscaling_needs_no_checkpoint(submit, root):
    file = upscaler_files.write(root, "doubler.safetensors", upscaler_files.pixel_doubler())
    no_checkpoint = ModelFile(path="checkpoints/none.safetensors", sha256="0" * 64)
    upscale = Upscale(scale=3, upscaler="doubler")
    fields = {"task": "upscale", "num_images": 2, "upscale": upscale}
    files = [image_file("green", (24, 16)), image_file("blue", (16, 16))]
    job = submit(*files, checkpoint=no_checkpoint, models={"upscaler:doubler": file}, **fields)
    done = job.end()
    assert [output.shape for output in job.pixels] == [(48, 72, 3), (48, 48, 3)]
    assert (done.steps_run, job.progress[-1].fraction) == (2, 1)


def test_upscaling_by_interpolation_accepts_many_images(submit):
    upscale = Upscale(width=40, height=20, upscaler="Lanczos", crop=True)
    job = submit(*[image_file("green", (24, 16))] * 200, task="upscale", num_images=200, upscale=upscale)
    assert isinstance(job.end(), Done)
    assert {output.shape for output in job.pixels} == {(20, 40, 3)}
    assert len(job.pixels) == 200


def test_a_result_that_is_too_large_fails_its_own_job_only(submit):
    upscale = Upscale(scale=16, upscaler="Lanczos")
    job = submit(image_file("red", (1000, 1000)), task="upscale", upscale=upscale)
    end = job.end()
    assert isinstance(end, Failed)
    assert (end.code, "at most" in end.message) == ("bad_request", True)
    assert isinstance(submit().end(), Done)


def test_an_undecodable_mask_is_a_bad_request(inpaint):
    end = inpaint(mask=b"not an image").end()
    assert isinstance(end, Failed)
    assert end.code == "bad_request"


@pytest.mark.parametrize("size", [(7, 300), (333, 41), (1, 1)])
@pytest.mark.parametrize("mode", ["stretch", "crop", "fill", "latent"])
def test_init_images_of_any_size_are_accepted(submit, size, mode):
    job = submit(image_file("red", size), resize_mode=mode, num_inference_steps=1)
    assert pixels(job).shape == (64, 64, 3)


def test_exact_steps_runs_the_requested_number_of_steps(submit):
    for exact, steps in ((False, 3), (True, 4)):
        job = submit(RED, exact_steps=exact, strength=0.5, num_inference_steps=4)
        assert job.end().steps_run == steps


def test_transparent_pixels_get_the_background_color(submit):
    file = io.BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(file, "PNG")
    outputs = {
        color: pixels(submit(file.getvalue(), background=color, strength=0.0, num_inference_steps=2))
        for color in ("#ffffff", "#000000")
    }
    assert np.abs(outputs["#ffffff"] - outputs["#000000"]).mean() > 1


@pytest.fixture(scope="module")
def inpainting_checkpoint(root, tiny_modules):
    """A checkpoint whose UNet has nine input channels."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        unet = UNet2DConditionModel(**(architecture.UNET_CONFIG | {"in_channels": 9}))
    modules = TinyModules(unet.half(), tiny_modules.vae, tiny_modules.text_encoder)
    return write_checkpoint(root, "checkpoints/nine.safetensors", single_file_tensors(modules))


@pytest.fixture
def mask_channels(engine, inpainting_checkpoint):
    """The mask channel and the masked latent of each UNet call: (5, height, width)."""
    recorded = []
    unet = engine.store.get(inpainting_checkpoint).unet
    hook = unet.register_forward_pre_hook(lambda _module, inputs: recorded.append(inputs[0][0, 4:]))
    yield recorded
    hook.remove()


def test_an_inpainting_checkpoint_receives_mask_and_masked_latent(
    inpaint, inpainting_checkpoint, mask_channels
):
    pixels(inpaint(checkpoint=inpainting_checkpoint, blur_x=0, blur_y=0))
    extra = mask_channels[0]
    assert extra.shape == (5, 8, 8)
    assert torch.equal(extra[0], torch.cat([torch.ones(8, 4), torch.zeros(8, 4)], dim=1))
    assert extra[1:, :, :3].std() < extra[1:].std()


def test_an_inpainting_checkpoint_without_a_mask_receives_a_full_mask(
    submit, inpainting_checkpoint, mask_channels
):
    pixels(submit(checkpoint=inpainting_checkpoint))
    pixels(submit(RED, checkpoint=inpainting_checkpoint))
    assert all((extra[0] == 1).all() for extra in mask_channels)
    assert torch.equal(mask_channels[0], mask_channels[-1])
