"""Generation of one image, with a fake device."""

from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from PIL import Image

from gpu_runner.models.request_models import Models
from gpu_runner.networks.conditioning import Conditioning
from gpu_runner.networks.operations import DecodeLatent, Denoise, EncodeImage, EncodeText
from gpu_runner.protocol import GenerationRequest, InputImage
from gpu_runner.protocol.families.stable_diffusion import SD15
from gpu_runner.tasks.denoising_loop import StopFlag
from gpu_runner.tasks.generation import Plan, generate_image
from gpu_runner.tasks.init_image import Canvas, MaskOptions

pytestmark = pytest.mark.slow

INIT = InputImage(sha256="0" * 64)


class Checkpoint:
    """The attributes of a checkpoint that the generator reads."""

    alphas_cumprod = torch.cumprod(
        1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0
    )

    device = torch.device("cpu")
    is_sdxl = False
    facts = SD15

    embeddings: ClassVar = {}

    class unet:
        class config:
            in_channels = 4


def request(**fields):
    if fields.get("task") == "img2img":
        fields["init_images"] = (INIT,)
    return GenerationRequest(prompt="a cat", negative_prompt="a dog", width=64, height=64, **fields)


def run_generation(generation_request, *, index=0, target=None, stop_flag=None, stop_at=None, canvas=None):
    """Run the generator with a fake device whose estimates are ``target``. Returns the operations and the decoded latent."""
    stop_flag = stop_flag or StopFlag()
    target = torch.full((4, 8, 8), 0.5) if target is None else target
    canvas = canvas or Canvas(Image.new("RGB", (64, 64)))
    canvases = (canvas,) if generation_request.task == "img2img" else ()
    task = generate_image(
        replace(Plan.of(generation_request, Models(Checkpoint)), canvases=canvases), index, stop_flag
    )
    operations, result = [], None
    while True:
        try:
            operation = task.send(result)
        except StopIteration as end:
            return operations, end.value.pixels
        operations.append(operation)
        if len([one for one in operations if isinstance(one, Denoise)]) == stop_at:
            stop_flag.requested = True
        match operation:
            case EncodeText():
                result = Conditioning(torch.zeros(77, 4)), Conditioning(torch.zeros(77, 4))
            case EncodeImage():
                result = torch.full((4, 8, 8), -0.5)
            case Denoise():
                result = target
            case DecodeLatent(latent=latent):
                result = latent


def kinds(operations):
    return [type(operation) for operation in operations]


def steps(operations):
    return [operation.input for operation in operations if isinstance(operation, Denoise)]


def test_txt2img_yields_text_encoding_steps_and_decoding():
    operations, _ = run_generation(request(num_inference_steps=4))
    assert kinds(operations) == [EncodeText, *[Denoise] * 4, DecodeLatent]
    assert operations[0].prompts == ("a cat", "a dog")


def test_img2img_encodes_the_init_image_and_runs_one_step_more_than_its_strength():
    operations, _ = run_generation(request(task="img2img", num_inference_steps=10, strength=0.5))
    assert kinds(operations) == [EncodeText, EncodeImage, *[Denoise] * 6, DecodeLatent]


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DPM++ 2M", "Heun", "DPM2 a", "UniPC"])
def test_the_latent_converges_to_the_estimates(sampler):
    _, latent = run_generation(request(sampler=sampler, num_inference_steps=12))
    assert (latent - 0.5).abs().max() < 0.15


@pytest.mark.parametrize("sampler", ["Euler", "DDIM", "UniPC", "Heun"])
def test_the_plan_announces_the_number_of_steps(sampler):
    generation_request = request(sampler=sampler, num_inference_steps=7)
    operations, _ = run_generation(generation_request)
    assert len(steps(operations)) == Plan.of(generation_request, Models(Checkpoint)).steps


@pytest.mark.parametrize("sampler", ["Euler", "DDIM", "UniPC"])
def test_img2img_at_strength_0_keeps_the_init_image(sampler):
    keep = torch.full((4, 8, 8), -0.5)
    _, latent = run_generation(request(task="img2img", sampler=sampler, strength=0.0), target=keep)
    assert (latent + 0.5).abs().max() < 0.3


def test_noise_as_masked_content_is_that_of_the_seed_without_variation():
    """As in A1111. Only the noise that is added to the latent is varied."""

    def first_x(content):
        mask = Image.new("L", (64, 64), 255)
        canvas = Canvas(Image.new("RGB", (64, 64)), mask, options=MaskOptions(content))
        varied = request(task="img2img", seed=5, subseed=9, subseed_strength=0.5)
        return steps(run_generation(varied, canvas=canvas)[0])[0].x

    noise = torch.randn((4, 8, 8), generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(first_x("noise") - first_x("nothing"), noise, atol=1e-5, rtol=0)


@pytest.mark.parametrize("sampler", ["DDIM", "PLMS", "UniPC"])
def test_the_kept_latent_has_the_noise_of_the_step_with_samplers_on_own_timesteps(sampler):
    """A black mask keeps everything: every evaluation gets the image and the initial noise at the level of the step."""
    canvas = Canvas(Image.new("RGB", (64, 64)), Image.new("L", (64, 64)), options=MaskOptions())
    kept = request(task="img2img", seed=5, sampler=sampler, num_inference_steps=10)
    operations, _ = run_generation(kept, canvas=canvas)
    noise = torch.randn((4, 8, 8), generator=torch.Generator().manual_seed(5))
    for step in steps(operations):
        torch.testing.assert_close(step.x, noise * step.sigma - 0.5, atol=1e-4, rtol=1e-4)


def test_image_i_has_the_seed_plus_i():
    third, _ = run_generation(request(seed=40, num_images=3), index=2)
    alone, _ = run_generation(request(seed=42))
    assert torch.equal(steps(third)[0].x, steps(alone)[0].x)


def test_txt2img_starts_from_noise_times_the_first_sigma():
    operations, _ = run_generation(request(seed=5))
    noise = torch.randn((4, 8, 8), generator=torch.Generator().manual_seed(5))
    first = steps(operations)[0]
    torch.testing.assert_close(first.x, noise * first.sigma)
    assert first.timestep == pytest.approx(999)


def test_the_stop_flag_ends_the_loop_with_the_current_estimate():
    operations, latent = run_generation(request(num_inference_steps=20), stop_at=3)
    assert len(steps(operations)) == 3
    assert (latent == 0.5).all()


def test_a_stop_flag_set_before_the_start_still_gives_an_image():
    stop_flag = StopFlag()
    stop_flag.requested = True
    operations, _ = run_generation(request(num_inference_steps=20), stop_flag=stop_flag)
    assert kinds(operations) == [EncodeText, Denoise, DecodeLatent]
