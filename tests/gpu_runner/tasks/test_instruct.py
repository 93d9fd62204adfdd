"""InstructPix2Pix: the same images as diffusers' pipeline, A1111's start from the init image, and refusals."""

import hashlib
import itertools

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionInstructPix2PixPipeline
from PIL import Image, ImageDraw

from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import Done, Failed, InputImage
from gpu_runner.protocol.prompt.tokenizer import clip_tokenizer
from gpu_runner.protocol.request_parts.passes import Inpaint
from tests.support.event_listener import Listener, order_of, png
from tests.support.tiny_models import random_modules, single_file_tensors, write_checkpoint

pytestmark = pytest.mark.slow

PROMPT, NEGATIVE = "make it blue", "a red circle"
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
STEPS, SEED = 6, 5


def scene():
    image = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(image).ellipse((12, 16, 44, 52), fill="red")
    return image


@pytest.fixture(scope="module")
def modules():
    return random_modules(seed=11, in_channels=8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, modules):
    root = tmp_path_factory.mktemp("instruct")
    return root, write_checkpoint(root, "checkpoints/instruct.safetensors", single_file_tensors(modules))


@pytest.fixture(scope="module")
def engine(checkpoint):
    engine = Engine(ModelStore(checkpoint[0], "cpu", torch.float32, 2**34), torch.device("cpu"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def submit(engine, checkpoint):
    numbers = itertools.count()

    def submit(**fields):
        listener = Listener()
        defaults = {
            "prompt": PROMPT,
            "negative_prompt": NEGATIVE,
            "num_inference_steps": STEPS,
            "seed": SEED,
            "strength": 1.0,
        }
        engine.submit(
            order_of(f"instruct-{next(numbers)}", checkpoint[1], png(scene()), **defaults | fields), listener
        )
        end = listener.end()
        assert isinstance(end, Done), end
        return listener.pixels[0]

    return submit


@pytest.fixture(scope="module")
def pipeline(modules):
    parts = {name: part.float() for name, part in vars(modules).items()}
    pipeline = StableDiffusionInstructPix2PixPipeline(
        **parts,
        tokenizer=None,
        scheduler=EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def embeddings(pipeline, text):
    ids = torch.full((1, 77), 49407)
    ids[:, 0] = 49406
    tokens = clip_tokenizer().encode(text)
    ids[0, 1 : 1 + len(tokens)] = torch.tensor(tokens)
    return pipeline.text_encoder(ids).last_hidden_state


def drawn_by_diffusers(pipeline, guidance, image_guidance):
    with torch.inference_mode():
        images = pipeline(
            image=scene(),
            prompt_embeds=embeddings(pipeline, PROMPT),
            negative_prompt_embeds=embeddings(pipeline, NEGATIVE),
            latents=torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(SEED)),
            num_inference_steps=STEPS,
            guidance_scale=guidance,
            image_guidance_scale=image_guidance,
        ).images
    return np.asarray(images[0]).astype(int)


@pytest.mark.parametrize(("guidance", "image_guidance"), [(7.0, 1.5), (7.0, 1.0), (3.0, 4.0)])
def test_images_equal_those_of_diffusers(submit, pipeline, guidance, image_guidance):
    expected = drawn_by_diffusers(pipeline, guidance, image_guidance)
    found = submit(guidance_scale=guidance, image_guidance_scale=image_guidance)
    assert np.abs(found - expected).max() <= 1
    assert expected.std() > 5  # it is not blank


def test_image_guidance_is_one_and_a_half_by_default(submit):
    assert (submit() == submit(image_guidance_scale=1.5)).all()
    assert np.abs(submit() - submit(image_guidance_scale=3.0)).max() > 5


def test_strength_below_one_starts_from_the_noised_init_image(submit):
    weak = submit(strength=0.2, num_inference_steps=20)
    assert np.abs(weak - submit()).max() > 5


def test_mask_limits_the_edit(submit):
    mask = png(Image.fromarray(np.repeat([[255] * 32 + [0] * 32], 64, axis=0).astype(np.uint8)))
    inpaint = Inpaint(mask=InputImage(sha256=hashlib.sha256(mask).hexdigest()), blur_x=0, blur_y=0)
    edited, before = submit(inpaint=inpaint, more=[mask]), np.asarray(scene()).astype(int)
    assert (edited[:, 40:] == before[:, 40:]).all()
    assert np.abs(edited[:, :24] - before[:, :24]).max() > 5


def test_without_an_init_image_the_request_is_bad(engine, checkpoint):
    listener = Listener()
    engine.submit(order_of("without", checkpoint[1]), listener)
    end = listener.end()
    assert isinstance(end, Failed)
    assert (end.code, end.message) == ("bad_request", "an InstructPix2Pix checkpoint needs an init image")
