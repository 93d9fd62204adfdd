"""One picture's way, with the answers of a made-up device."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from gpu_runner.models.request_models import Models
from gpu_runner.networks.operations import DecodeLatent, Denoise, EncodeImage, EncodeText
from gpu_runner.protocol import GenerationRequest, Picture
from gpu_runner.tasks.denoising_loop import StopFlag
from gpu_runner.tasks.generation import Plan, draw
from gpu_runner.tasks.init_image import Canvas

pytestmark = pytest.mark.slow

INIT = Picture(sha256="0" * 64)


class Checkpoint:
    """As much of one as a picture looks at itself."""

    alphas_cumprod = torch.cumprod(
        1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0
    )

    device = torch.device("cpu")
    is_sdxl = False

    class unet:
        class config:
            in_channels = 4


def request(**fields):
    if fields.get("task") == "img2img":
        fields["init_images"] = (INIT,)
    return GenerationRequest(prompt="a cat", negative_prompt="a dog", width=64, height=64, **fields)


def follow(asked, *, index=0, target=None, brake=None, pull_at=None):
    """Draws with a device whose every estimate is ``target``; returns the kinds of asks and the latent decoded."""
    brake = brake or StopFlag()
    target = torch.full((4, 8, 8), 0.5) if target is None else target
    canvases = (Canvas(Image.new("RGB", (64, 64))),) if asked.task == "img2img" else ()
    task = draw(replace(Plan.of(asked, Models(Checkpoint)), canvases=canvases), index, brake)
    asks, answer = [], None
    while True:
        try:
            ask = task.send(answer)
        except StopIteration as end:
            return asks, end.value.pixels
        asks.append(ask)
        if len([one for one in asks if isinstance(one, Denoise)]) == pull_at:
            brake.pulled = True
        match ask:
            case EncodeText():
                answer = torch.zeros(77, 4), torch.zeros(77, 4)
            case EncodeImage():
                answer = torch.full((4, 8, 8), -0.5)
            case Denoise():
                answer = target
            case DecodeLatent(latent=latent):
                answer = latent


def kinds(asks):
    return [type(ask) for ask in asks]


def steps(asks):
    return [ask.question for ask in asks if isinstance(ask, Denoise)]


def test_txt2img_asks_for_texts_steps_and_pixels():
    asks, _ = follow(request(num_inference_steps=4))
    assert kinds(asks) == [EncodeText, *[Denoise] * 4, DecodeLatent]
    assert asks[0].prompts == ("a cat", "a dog")


def test_img2img_begins_with_the_picture_and_runs_one_step_more_than_its_share():
    asks, _ = follow(request(task="img2img", num_inference_steps=10, strength=0.5))
    assert kinds(asks) == [EncodeText, EncodeImage, *[Denoise] * 6, DecodeLatent]


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DPM++ 2M", "Heun", "DPM2 a", "UniPC"])
def test_the_walk_ends_where_the_estimates_point(sampler):
    _, latent = follow(request(sampler=sampler, num_inference_steps=12))
    assert (latent - 0.5).abs().max() < 0.15


@pytest.mark.parametrize("sampler", ["Euler", "DDIM", "UniPC", "Heun"])
def test_the_plan_knows_the_steps(sampler):
    asked = request(sampler=sampler, num_inference_steps=7)
    asks, _ = follow(asked)
    assert len(steps(asks)) == Plan.of(asked, Models(Checkpoint)).steps


@pytest.mark.parametrize("sampler", ["Euler", "DDIM", "UniPC"])
def test_img2img_at_strength_zero_keeps_the_picture(sampler):
    keep = torch.full((4, 8, 8), -0.5)
    _, latent = follow(request(task="img2img", sampler=sampler, strength=0.0), target=keep)
    assert (latent + 0.5).abs().max() < 0.3


def test_picture_i_is_drawn_with_seed_plus_i():
    third, _ = follow(request(seed=40, num_images=3), index=2)
    alone, _ = follow(request(seed=42))
    assert torch.equal(steps(third)[0].x, steps(alone)[0].x)


def test_txt2img_begins_with_noise_times_the_first_sigma():
    asks, _ = follow(request(seed=5))
    noise = torch.randn((4, 8, 8), generator=torch.Generator().manual_seed(5))
    first = steps(asks)[0]
    torch.testing.assert_close(first.x, noise * first.sigma)
    assert first.timestep == pytest.approx(999)


def test_the_brake_makes_the_next_estimate_the_picture():
    asks, latent = follow(request(num_inference_steps=20), pull_at=3)
    assert len(steps(asks)) == 3
    assert (latent == 0.5).all()


def test_a_brake_pulled_before_the_start_still_gives_a_picture():
    brake = StopFlag()
    brake.pulled = True
    asks, _ = follow(request(num_inference_steps=20), brake=brake)
    assert kinds(asks) == [EncodeText, Denoise, DecodeLatent]
