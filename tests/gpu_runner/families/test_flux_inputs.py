"""FLUX.1 Fill, Canny and Depth, whose transformers read an image with each token: latents are those of diffusers."""

from functools import partial

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxControlPipeline, FluxFillPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image

from demo.flow_matching.original_layout import original_layout
from gpu_runner.controlnet.units import PreparedUnit
from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import Variant
from gpu_runner.networks.conditioning import TextEncodingOptions
from gpu_runner.networks.flow.packing import packed, unpacked
from gpu_runner.networks.text.text_encoder import encode
from gpu_runner.protocol import InputImage
from gpu_runner.protocol.catalogs.preprocessors import MODULES
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.samplers.noise import NoiseStream
from gpu_runner.tasks.init_image import Canvas
from tests.support.flow_models import flux_parts, normalizing_vae, written
from tests.support.transformer_files import tiny

TOLERANCE = 1e-4
PHOTO = Image.fromarray((np.indices((64, 64, 3)).sum(0) % 64 * 4).astype(np.uint8))
HOLE = Image.new("L", (64, 64), 0)
HOLE.paste(255, (24, 16, 64, 40))
INIT = {"task": "img2img", "init_images": (InputImage(sha256="0" * 64),)}
EMPTY = dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Transformers alone, in the layout of their authors, with VAE and text encoders beside them."""
    root = tmp_path_factory.mktemp("inputs")
    store = ModelStore(root, "cpu", torch.float32, 2**30)
    vae, encoders = flux_parts(root)
    files = {
        name: written(root, name, original_layout("flux1", tiny(f"flux1 {name}").state_dict()))
        for name in ("fill", "control")
    }
    return {name: store.get(file, Variant(vae=vae, text_encoders=encoders)) for name, file in files.items()}


@pytest.fixture(autouse=True)
def _deterministic_latents(monkeypatch):
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())


@pytest.fixture
def expected(models):
    """Latents of a pipeline with the tiny weights."""

    def draw(pipeline_class, name, **fields):
        text = encode(models[name], ["a red circle"], TextEncodingOptions())[0]
        pipeline = pipeline_class(
            FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
            normalizing_vae("flux1"),
            transformer=tiny(f"flux1 {name}"),
            **EMPTY,
        )
        pipeline.set_progress_bar_config(disable=True)
        embeds = {"prompt_embeds": text.context[None], "pooled_prompt_embeds": text.pooled[None]}
        noise = packed(NoiseStream(3, (16, 8, 8), torch.device("cpu")).draw()[None])
        sizes = {"width": 64, "height": 64, "num_inference_steps": 8, "output_type": "latent"}
        result = pipeline(**embeds, **sizes, latents=noise, guidance_scale=4.0, **fields)
        return unpacked(result.images, 8, 8)[0]

    return draw


def test_fill_draws_what_its_pipeline_draws(models, expected, draw_latents, request_of):
    """It sees the image outside the mask, and the mask in full size; nothing is put back between the steps."""
    latent = expected(FluxFillPipeline, "fill", image=PHOTO, mask_image=HOLE, strength=1.0)
    request = request_of(guidance_scale=4.0, seed=3, strength=1.0, **INIT)
    draw = partial(draw_latents, models["fill"])
    drawn = draw([request], canvas=Canvas(PHOTO, HOLE))[0]
    assert (drawn - latent).abs().max() < TOLERANCE
    other = Image.new("L", (64, 64), 255)
    assert (draw([request], canvas=Canvas(PHOTO, other))[0] - latent).abs().max() > 0.05
    assert (draw([request_of(guidance_scale=4.0, seed=3)])[0] - drawn).abs().max() > 0.05


def _unit(**fields):
    return PreparedUnit(ControlUnit(**fields), MODULES["none"], None, np.asarray(PHOTO))


@pytest.mark.parametrize("given_as", ["unit", "init image"])
def test_canny_and_depth_draw_what_their_pipeline_draws(models, expected, draw_latents, request_of, given_as):
    """After the map of a control unit without a ControlNet, or after the init image."""
    latent = expected(FluxControlPipeline, "control", control_image=Canvas(PHOTO).pixels[None])
    if given_as == "unit":
        drawn = draw_latents(
            models["control"], [request_of(guidance_scale=4.0, seed=3)], units=[_unit(image=None)]
        )[0]
    else:
        request = request_of(guidance_scale=4.0, seed=3, strength=1.0, **INIT)
        drawn = draw_latents(models["control"], [request], canvas=Canvas(PHOTO))[0]
    assert (drawn - latent).abs().max() < TOLERANCE
    assert drawn.std() > 0.1


def test_canny_and_depth_are_refused_without_a_map(models, draw_latents, request_of):
    with pytest.raises(InvalidRequest, match="needs a control image"):
        draw_latents(models["control"], [request_of()])


def test_images_with_such_inputs_do_not_depend_on_their_batch(models, draw_latents, request_of):
    requests = [
        request_of(prompt=prompt, guidance_scale=float(n), seed=n, strength=strength, **INIT)
        for n, (prompt, strength) in enumerate([("a red circle", 1.0), ("a cat " * 60, 0.7), ("", 0.4)])
    ]
    for name, canvas in (("fill", Canvas(PHOTO, HOLE)), ("control", Canvas(PHOTO))):
        together = draw_latents(models[name], requests, canvas=canvas)
        for request, latent in zip(requests, together, strict=True):
            alone = draw_latents(models[name], [request], canvas=canvas)[0]
            assert (alone - latent).abs().max() < 1e-5
