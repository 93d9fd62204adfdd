"""Whatever a picture is made with, it is the same alone and in the company of all the others at once."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.networks import batched_calls
from gpu_runner.networks.operations import Denoise
from gpu_runner.protocol import Done, ModelFile, Picture, sampler_catalog
from gpu_runner.protocol.generation_request import ControlUnit, Hires, Inpaint, LoraUse
from tests.support.event_listener import Listener, order_of, picture_file, png
from tests.support.lora_files import LINEAR, TEXT, kohya
from tests.support.tiny_controlnet import ldm_tensors, random_controlnet, write_tensors

pytestmark = pytest.mark.slow

SOURCE = picture_file("red")
MASK = png(Image.fromarray(np.repeat([[255] * 32 + [0] * 32], 64, axis=0).astype(np.uint8)))


def name_of(data):
    return Picture(sha256=hashlib.sha256(data).hexdigest())


LORA = {"loras": (LoraUse(name="one", unet=2.0),)}
CONTROL = {"controls": (ControlUnit(model="net", image=name_of(MASK)),)}
INPAINT = {"task": "img2img", "init_images": (name_of(SOURCE),), "inpaint": Inpaint(mask=name_of(MASK))}
HIRES = {"hires": Hires(width=96, height=96, strength=0.6, num_inference_steps=2)}
WAYS = {
    "plain": {},
    "LoRA": LORA,
    "ControlNet": CONTROL,
    "inpaint": INPAINT,
    "hires": HIRES,
    "LoRA and ControlNet": LORA | CONTROL,
    "inpaint with LoRA and ControlNet": INPAINT | LORA | CONTROL,
    "hires with LoRA and ControlNet": HIRES | LORA | CONTROL,
}
SAMPLERS = [sampler.name for sampler in sampler_catalog.SAMPLERS]
# Every sampler is among these, and so is every way with samplers that draw noise on their way and that do not.
CASES = [(list(WAYS)[number % len(WAYS)], sampler) for number, sampler in enumerate(SAMPLERS)]
CASES += [(way, sampler) for way in WAYS for sampler in ("Euler", "DPM++ 2S a")]


@pytest.fixture(scope="module")
def order(tiny_checkpoint, tiny_modules):
    root, checkpoint = tiny_checkpoint
    save_file(kohya(tiny_modules, (LINEAR,), (TEXT,)), root / "company.safetensors")
    sha256 = hashlib.sha256((root / "company.safetensors").read_bytes()).hexdigest()
    net = ldm_tensors(random_controlnet(1))
    models = {
        "lora:one": ModelFile(path="company.safetensors", sha256=sha256),
        "controlnet:net": write_tensors(root, "controlnet/company.safetensors", net),
    }

    def order(number):
        way, sampler = CASES[number]
        fields = {"sampler": sampler, "num_inference_steps": 3, "seed": number} | WAYS[way]
        return order_of(f"job-{number}", checkpoint, more=(SOURCE, MASK), models=models, **fields)

    return order


@pytest.fixture(scope="module")
def engine(tiny_checkpoint):
    engine = Engine(ModelStore(tiny_checkpoint[0], "cpu", torch.float32, 2**34), torch.device("cpu"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def crowd(engine, order):
    """The pictures of all cases at once, and how many shared the calls."""
    sizes, answer = [], batched_calls.answer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            batched_calls,
            "answer",
            lambda asks: sizes.append(len(asks) if isinstance(asks[0], Denoise) else 0) or answer(asks),
        )
        listeners = [Listener() for _ in CASES]
        for number, listener in enumerate(listeners):
            engine.submit(order(number), listener)
        for listener in listeners:
            assert isinstance(listener.end(), Done), listener.events[-1]
    return [listener.pixels[0] for listener in listeners], sizes


def test_the_crowd_really_shares_calls(crowd):
    assert max(crowd[1]) >= 4


@pytest.mark.parametrize("number", range(len(CASES)), ids=[" by ".join(case) for case in CASES])
def test_a_picture_is_the_same_alone_and_in_the_crowd(engine, order, crowd, number):
    alone = Listener()
    engine.submit(order(number), alone)
    assert isinstance(alone.end(), Done)
    assert np.abs(alone.pixels[0] - crowd[0][number]).max() <= 1


def test_every_way_of_making_a_picture_has_its_effect(crowd):
    by_euler = [picture for (_, sampler), picture in zip(CASES, crowd[0], strict=True) if sampler == "Euler"][
        -len(WAYS) :
    ]
    for place, one in enumerate(by_euler):
        for other in by_euler[:place]:
            assert one.shape != other.shape or np.abs(one - other).max() > 1
