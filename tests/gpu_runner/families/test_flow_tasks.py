"""img2img, inpainting, the hires pass and previews with a flow-matching model."""

import numpy as np
import pytest
import torch
from PIL import Image

from gpu_runner.networks.diffusion import vae
from gpu_runner.protocol import Hires, InputImage, Progress
from gpu_runner.tasks.init_image import Canvas
from tests.support.demo_engine import Studio
from tests.support.flow_models import write_sd3

INIT = {"task": "img2img", "init_images": (InputImage(sha256="0" * 64),)}
PICTURE = Image.fromarray((np.indices((64, 64, 3)).sum(0) % 64 * 4).astype(np.uint8))


@pytest.fixture(scope="module")
def original(checkpoints):
    return vae.encode(checkpoints["sd3"], [Canvas(PICTURE).pixels])[0]


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M", "Euler a", "UniPC"])
def test_img2img_changes_more_with_more_strength(checkpoints, draw_latents, request_of, original, sampler):
    def distance(strength):
        request = request_of(sampler=sampler, strength=strength, num_inference_steps=20, **INIT)
        latent = draw_latents(checkpoints["sd3"], [request], canvas=Canvas(PICTURE))[0]
        return float((latent - original).square().mean())

    # The schedule's last times are small: of 20 steps, the last two begin at t = 0.25.
    assert distance(0.0) < distance(0.3) < distance(0.9)


def test_inpainting_keeps_what_is_not_masked(checkpoints, draw_latents, request_of, original):
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    request = request_of(strength=0.9, **INIT)
    latent = draw_latents(checkpoints["sd3"], [request], canvas=Canvas(PICTURE, mask))[0]
    assert torch.allclose(latent[:, :, 4:], original[:, :, 4:], atol=1e-5)
    assert (latent - original)[:, :, :4].abs().max() > 0.1


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_the_hires_pass_enlarges(checkpoints, draw_latents, request_of, upscaler):
    request = request_of(hires=Hires(width=96, height=64, strength=0.5, upscaler=upscaler))
    assert draw_latents(checkpoints["sd3"], [request])[0].shape == (16, 8, 12)


def test_a_variation_seed_and_its_strength_change_the_image(checkpoints, draw_latents, request_of):
    requests = [request_of(seed=1, subseed=2, subseed_strength=strength) for strength in (0.0, 0.1, 1.0)]
    plain, near, far = draw_latents(checkpoints["sd3"], [*requests])
    assert 0 < (near - plain).abs().mean() < (far - plain).abs().mean()


@pytest.mark.slow
def test_the_engine_sends_previews_and_an_image(tmp_path):
    studio = Studio(tmp_path, write_sd3(tmp_path))
    drawing = studio.begin(prompt="a red circle", width=64, height=64, num_inference_steps=3, preview_every=1)
    assert drawing.images()[0].size == (64, 64)
    assert sum(isinstance(event, Progress) and bool(event.preview) for event in drawing.events) == 3
    refused = studio.begin(prompt="a red circle", width=64, height=64, sampler="DDIM")
    with pytest.raises(AssertionError, match="does not support sampler DDIM: Euler"):
        refused.images()
    studio.close()


@pytest.mark.parametrize("family", ["flux1", "chroma", "flux2", "qwen_image"])
def test_images_are_drawn_from_separate_and_joint_files(checkpoints, draw_latents, request_of, family):
    """A latent of noise is decoded to the size of the image, previews are small, and a part is redrawn alone."""
    checkpoint = checkpoints[family]
    original = vae.encode(checkpoint, [Canvas(PICTURE).pixels])[0]
    assert vae.decode(checkpoint, [original])[0].shape == (3, 64, 64)
    again = vae.encode(checkpoint, [vae.decode(checkpoint, [original])[0]])[0]
    assert again.shape == original.shape == checkpoint.facts.latents.shape(64, 64)
    assert vae.Projection(checkpoint).to_rgb(original).shape[0] == 3
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    request = request_of(strength=0.9, guidance_scale=1.0, **INIT)
    latent = draw_latents(checkpoint, [request], canvas=Canvas(PICTURE, mask))[0]
    half = latent.shape[-1] // 2
    assert torch.allclose(latent[:, :, half:], original[:, :, half:], atol=1e-5)
    assert (latent - original)[:, :, :half].abs().max() > 0.1
