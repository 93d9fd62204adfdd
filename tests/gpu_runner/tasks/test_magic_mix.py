"""MagicMix: the steps of diffusers' community pipeline, and its limits."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler
from PIL import Image, ImageDraw

from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import Done, GenerationRequest, InputImage
from gpu_runner.protocol.prompt.tokenizer import clip_tokenizer
from gpu_runner.protocol.request_parts.passes import Inpaint, MagicMix
from tests.support.event_listener import Listener, order_of, png

pytestmark = pytest.mark.slow

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
PROMPT, STEPS, SEED, GUIDANCE = "a blue star", 20, 3, 5.0


def scene():
    image = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(image).ellipse((12, 16, 44, 52), fill="red")
    return image


@pytest.fixture(scope="module")
def engine(tiny_checkpoint):
    engine = Engine(ModelStore(tiny_checkpoint[0], "cpu", torch.float32, 2**34), torch.device("cpu"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def submit(engine, tiny_checkpoint):
    numbers = itertools.count()

    def submit(**fields):
        defaults = {"num_inference_steps": STEPS, "seed": SEED, "guidance_scale": GUIDANCE, "strength": 0.5}
        request = order_of(
            f"mix-{next(numbers)}",
            tiny_checkpoint[1],
            png(scene()),
            **{"prompt": PROMPT} | defaults | fields,
        )
        listener = Listener()
        engine.submit(request, listener)
        end = listener.end()
        assert isinstance(end, Done), end
        return listener.pixels[0]

    return submit


def text_states(modules, text):
    ids = torch.full((1, 77), 49407)
    ids[:, 0] = 49406
    tokens = clip_tokenizer().encode(text)
    ids[0, 1 : 1 + len(tokens)] = torch.tensor(tokens)
    return modules.text_encoder(ids).last_hidden_state


@torch.inference_mode()
def mixed_by_the_pipeline(modules, first, content, factor):
    """The loop of the community pipeline: steps from ``first`` on, of which those before ``content`` are mixed."""
    modules = dataclasses.replace(
        modules, **{name: copy.deepcopy(part).float() for name, part in vars(modules).items()}
    )
    scheduler = EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    texts = torch.cat([text_states(modules, ""), text_states(modules, PROMPT)])
    pixels = torch.from_numpy(np.array(scene())).permute(2, 0, 1)[None] / 127.5 - 1
    encoded = modules.vae.encode(pixels).latent_dist.mode() * 0.18215
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(SEED))
    latents = scheduler.add_noise(encoded, noise, scheduler.timesteps[first : first + 1])
    for index in range(first, STEPS):
        time = scheduler.timesteps[index]
        seen = latents
        if first < index < content:
            layout = scheduler.add_noise(encoded, noise, scheduler.timesteps[index : index + 1])
            seen = factor * latents + (1 - factor) * layout
        scaled = scheduler.scale_model_input(torch.cat([seen] * 2), time)
        negative, positive = modules.unet(scaled, time, encoder_hidden_states=texts).sample.chunk(2)
        guided = negative + GUIDANCE * (positive - negative)
        latents = scheduler.step(guided, time, latents).prev_sample
    decoded = modules.vae.decode(latents / 0.18215).sample[0]
    return ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0).numpy().astype(int)


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.9])
def test_images_equal_those_of_the_community_pipeline(submit, tiny_modules, factor):
    """img2img of strength k runs one step more than k times the steps, as in A1111."""
    found = submit(magic_mix=MagicMix(kmin=0.3, mix_factor=factor))
    assert np.abs(found - mixed_by_the_pipeline(tiny_modules, 9, 13, factor)).max() <= 1


@pytest.mark.parametrize("part", [MagicMix(kmin=0.3, mix_factor=1.0), MagicMix(kmin=0.5, mix_factor=0.2)])
def test_without_mixing_it_is_img2img(submit, part):
    assert np.abs(submit(magic_mix=part) - submit()).max() <= 1


@pytest.mark.parametrize("sampler", ["DDIM", "Heun", "DPM++ 2M", "UniPC", "DDIM CFG++", "Euler a"])
def test_every_kind_of_sampler_mixes(submit, sampler):
    plain, mixed = (
        submit(sampler=sampler, strength=0.8, magic_mix=part)
        for part in (None, MagicMix(kmin=0.2, mix_factor=0.3))
    )
    assert np.abs(plain - mixed).max() > 2


def test_mixing_in_all_steps_is_possible(submit):
    always = submit(magic_mix=MagicMix(kmin=0.0, mix_factor=0.3))
    assert np.abs(always - submit(magic_mix=MagicMix(kmin=0.3, mix_factor=0.3))).max() > 0


IMAGE = InputImage(sha256="0" * 64)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "txt2img", "init_images": ()}, "only allowed with task=img2img"),
        ({"inpaint": Inpaint(mask=IMAGE)}, "without inpaint and tiled"),
        ({"strength": 0.2}, r"kmin must be at most strength=0.2 \(got 0.3\)"),
    ],
)
def test_impossible_combinations_are_refused(fields, message):
    base = {"task": "img2img", "init_images": (IMAGE,), "magic_mix": MagicMix()}
    with pytest.raises(ValueError, match=message):
        GenerationRequest(**base | fields)
