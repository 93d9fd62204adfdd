"""ControlNets in change_background: a unit without a picture of its own is shown the product's canvas."""

import base64
import hashlib
import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import ControlMap, Done, GenerationRequest, Picture, RunRequest
from gpu_runner.protocol.generation_request import ChangeBackground, ControlUnit
from gpu_runner.tasks.preparation.prepare import prepare
from tests.support.event_listener import Listener
from tests.support.tiny_controlnet import ldm_tensors, random_controlnet, write_tensors

BOX = (16, 16, 47, 47)


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def scene(stripe: int = 24) -> bytes:
    """A product with a line in it, before a striped wall."""
    picture = Image.new("RGB", (64, 64), "white")
    draw = ImageDraw.Draw(picture)
    for x in range(0, 64, 8):
        draw.line((x, 0, x, 64), fill="black")
    draw.rectangle(BOX, fill=(220, 60, 40))
    draw.line((stripe, 24, stripe, 40), fill="black", width=2)
    return png(picture)


def mask() -> bytes:
    picture = Image.new("L", (64, 64))
    ImageDraw.Draw(picture).rectangle(BOX, fill=255)
    return png(picture)


SCENE, MASK = scene(), mask()


def named(data: bytes) -> Picture:
    return Picture(sha256=hashlib.sha256(data).hexdigest())


class Room:
    def __init__(self, root, checkpoint):
        self.store = ModelStore(root, "cpu", torch.float32, 2**34)
        self.engine = Engine(self.store, torch.device("cpu"))
        self.engine.start()
        self.checkpoint = checkpoint
        self.net = write_tensors(root, "controlnet/lines.safetensors", ldm_tensors(random_controlnet(1)))

    def order(self, *units, scenes=(SCENE,), **fields):
        request = GenerationRequest(
            task="change_background",
            prompt="a cat",
            width=64,
            height=64,
            num_inference_steps=2,
            strength=1.0,
            seed=3,
            init_images=tuple(named(data) for data in scenes),
            num_images=len(scenes),
            change_background=ChangeBackground(mask=named(MASK), **fields),
            controls=units,
        )
        inputs = {named(data).sha256: base64.b64encode(data).decode() for data in (*scenes, MASK)}
        files = {name.key: self.net for name in request.model_names()}
        return RunRequest(
            job_id="job", request=request, checkpoint=self.checkpoint, files=files, inputs=inputs
        )

    def draw(self, *units, **fields):
        listener = Listener()
        self.engine.submit(self.order(*units, **fields), listener)
        assert isinstance(listener.end(), Done)
        return listener

    def units(self, *units, **fields):
        return prepare(self.store, self.order(*units, **fields)).plan.first.units


def unit(module="lineart_standard", **fields) -> ControlUnit:
    return ControlUnit(model="lines", module=module, pixel_perfect=True, **fields)


@pytest.fixture(scope="module")
def room(tiny_checkpoint):
    room = Room(*tiny_checkpoint)
    yield room
    room.engine.stop()


def lines(made):
    return made.map[:, :, 0].astype(int)


def test_the_map_has_the_products_lines_and_none_of_the_old_background(room):
    ((made,),) = room.units(unit())
    inside, outside = lines(made)[22:42, 20:28], lines(made)[:, :8]
    assert inside.max() > 128
    assert outside.max() < inside.max() / 4


def test_with_the_original_content_the_old_background_is_drawn_upon_and_so_it_is_shown(room):
    ((made,),) = room.units(unit(), content="original")
    assert lines(made)[:, :8].max() > 128


def test_it_steers_what_is_drawn_and_leaves_the_product_alone(room):
    plain, steered = room.draw().pixels[0], room.draw(unit()).pixels[0]
    background, product = (slice(None), slice(0, 8)), (slice(24, 40), slice(24, 40))
    difference = np.abs(plain.astype(int) - steered.astype(int))
    assert difference[background].max() > 0
    assert difference[product].max() == 0


def test_a_weight_of_0_steers_nothing(room):
    assert (room.draw().pixels[0] == room.draw(unit(weight=0)).pixels[0]).all()


def test_each_picture_is_steered_by_its_own_product(room):
    (first,), (second,) = room.units(unit(), scenes=(scene(22), scene(40)))
    assert lines(first)[32, 20:26].max() > 64 > lines(first)[32, 38:44].max()
    assert lines(second)[32, 38:44].max() > 64 > lines(second)[32, 20:26].max()


def test_an_inpainting_network_is_shown_where_the_background_is_drawn(room):
    ((made,),) = room.units(unit("inpaint_only"))
    assert made.module.name == "inpaint"
    assert (made.hidden[32, 4], made.hidden[32, 32]) == (255, 0)


def test_a_unit_with_a_picture_of_its_own_shows_that(room):
    ((made,),) = room.units(ControlUnit(model="lines", image=named(MASK), resize_mode="stretch"))
    assert lines(made)[32, 32] == 255


def test_the_map_is_sent_to_who_asks_for_it(room):
    events = room.draw(unit()).events
    assert sum(isinstance(event, ControlMap) for event in events) == 1
    events = room.draw(unit(return_map=False)).events
    assert not any(isinstance(event, ControlMap) for event in events)
