"""Latents of the flow-matching families are those of diffusers: same weights, texts and noise, eight Euler steps."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline

from gpu_runner.networks.conditioning import TextEncodingOptions
from gpu_runner.networks.text.text_encoder import encode
from gpu_runner.samplers.noise import NoiseStream
from tests.support.flow_models import sd3_modules

TOLERANCE = 1e-4


@pytest.mark.parametrize("guidance", [1.0, 4.5])
def test_sd3_draws_what_its_pipeline_draws(checkpoints, draw_latents, request_of, guidance):
    request = request_of(guidance_scale=guidance, negative_prompt="blue", seed=3)
    checkpoint, modules = checkpoints["sd3"], sd3_modules()
    texts = encode(checkpoint, ["a red circle", "blue"], TextEncodingOptions())
    pipeline = StableDiffusion3Pipeline(
        transformer=modules.transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=modules.vae,
        **dict.fromkeys(("text_encoder", "text_encoder_2", "text_encoder_3")),
        **dict.fromkeys(("tokenizer", "tokenizer_2", "tokenizer_3")),
    )
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        prompt_embeds=texts[0].context[None],
        pooled_prompt_embeds=texts[0].pooled[None],
        negative_prompt_embeds=texts[1].context[None],
        negative_pooled_prompt_embeds=texts[1].pooled[None],
        latents=NoiseStream(3, (16, 8, 8), torch.device("cpu")).draw()[None],
        guidance_scale=guidance,
        num_inference_steps=8,
        width=64,
        height=64,
        output_type="latent",
    ).images[0]
    drawn = draw_latents(checkpoint, [request])[0]
    assert (drawn - expected).abs().max() < TOLERANCE
    assert expected.std() > 0.1
