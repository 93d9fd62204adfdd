"""ControlNet in change_background: a unit without an image of its own uses the canvas of the product."""

import base64
import hashlib
import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import ControlMap, Done, GenerationRequest, InputImage, RunRequest
from gpu_runner.protocol.request_parts.backgrounds import ChangeBackground
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.tasks.preparation.prepare import prepare
from tests.support.event_listener import Listener
from tests.support.tiny_controlnet import ldm_tensors, random_controlnet, write_tensors

pytestmark = pytest.mark.slow

BOX = (16, 16, 47, 47)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def scene(stripe: int = 24) -> bytes:
    """An image file: a product with a line, before a striped wall."""
    image = Image.new("RGB", (64, 64), "white")
    draw = ImageDraw.Draw(image)
    for x in range(0, 64, 8):
        draw.line((x, 0, x, 64), fill="black")
    draw.rectangle(BOX, fill=(220, 60, 40))
    draw.line((stripe, 24, stripe, 40), fill="black", width=2)
    return png(image)


def mask() -> bytes:
    image = Image.new("L", (64, 64))
    ImageDraw.Draw(image).rectangle(BOX, fill=255)
    return png(image)


SCENE, MASK = scene(), mask()


def reference_to(data: bytes) -> InputImage:
    return InputImage(sha256=hashlib.sha256(data).hexdigest())


class Setup:
    def __init__(self, root, checkpoint):
        self.store = ModelStore(root, "cpu", torch.float32, 2**34)
        self.engine = Engine(self.store, torch.device("cpu"))
        self.engine.start()
        self.checkpoint = checkpoint
        self.net = write_tensors(root, "controlnet/lines.safetensors", ldm_tensors(random_controlnet(1)))

    def run_request(self, *units, scenes=(SCENE,), **fields):
        request = GenerationRequest(
            task="change_background",
            prompt="a cat",
            width=64,
            height=64,
            num_inference_steps=2,
            strength=1.0,
            seed=3,
            init_images=tuple(reference_to(data) for data in scenes),
            num_images=len(scenes),
            change_background=ChangeBackground(mask=reference_to(MASK), **fields),
            controls=units,
        )
        inputs = {reference_to(data).sha256: base64.b64encode(data).decode() for data in (*scenes, MASK)}
        files = {name.key: self.net for name in request.model_names()}
        return RunRequest(
            job_id="job", request=request, checkpoint=self.checkpoint, files=files, inputs=inputs
        )

    def draw(self, *units, **fields):
        listener = Listener()
        self.engine.submit(self.run_request(*units, **fields), listener)
        assert isinstance(listener.end(), Done)
        return listener

    def units(self, *units, **fields):
        return prepare(self.store, self.run_request(*units, **fields)).plan.first.units


def unit(module="lineart_standard", **fields) -> ControlUnit:
    return ControlUnit(model="lines", module=module, pixel_perfect=True, **fields)


@pytest.fixture(scope="module")
def setup(tiny_checkpoint):
    setup = Setup(*tiny_checkpoint)
    yield setup
    setup.engine.stop()


def lines(prepared):
    return prepared.map[:, :, 0].astype(int)


def test_the_map_shows_the_product_without_the_old_background(setup):
    ((prepared,),) = setup.units(unit())
    inside, outside = lines(prepared)[22:42, 20:28], lines(prepared)[:, :8]
    assert inside.max() > 128
    assert outside.max() < inside.max() / 4


def test_with_content_original_the_map_shows_the_old_background(setup):
    ((prepared,),) = setup.units(unit(), content="original")
    assert lines(prepared)[:, :8].max() > 128


def test_a_unit_changes_the_background_and_not_the_product(setup):
    plain, controlled = setup.draw().pixels[0], setup.draw(unit()).pixels[0]
    background, product = (slice(None), slice(0, 8)), (slice(24, 40), slice(24, 40))
    difference = np.abs(plain.astype(int) - controlled.astype(int))
    assert difference[background].max() > 0
    assert difference[product].max() == 0


def test_a_unit_of_weight_0_has_no_effect(setup):
    assert (setup.draw().pixels[0] == setup.draw(unit(weight=0)).pixels[0]).all()


def test_each_image_uses_the_map_of_its_own_product(setup):
    (first,), (second,) = setup.units(unit(), scenes=(scene(22), scene(40)))
    assert lines(first)[32, 20:26].max() > 64 > lines(first)[32, 38:44].max()
    assert lines(second)[32, 38:44].max() > 64 > lines(second)[32, 20:26].max()


def test_an_inpainting_controlnet_gets_the_background_as_mask(setup):
    ((prepared,),) = setup.units(unit("inpaint_only"))
    assert prepared.module.name == "inpaint"
    assert (prepared.hidden[32, 4], prepared.hidden[32, 32]) == (255, 0)


def test_a_unit_with_an_image_of_its_own_uses_it(setup):
    ((prepared,),) = setup.units(ControlUnit(model="lines", image=reference_to(MASK), resize_mode="stretch"))
    assert lines(prepared)[32, 32] == 255


def test_the_map_is_returned_only_on_request(setup):
    events = setup.draw(unit()).events
    assert sum(isinstance(event, ControlMap) for event in events) == 1
    events = setup.draw(unit(return_map=False)).events
    assert not any(isinstance(event, ControlMap) for event in events)
