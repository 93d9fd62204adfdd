"""Latents of the flow-matching families are those of diffusers: same weights, texts and noise, eight Euler steps."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline, ZImagePipeline

from gpu_runner.networks.conditioning import TextEncodingOptions
from gpu_runner.networks.text.text_encoder import encode
from gpu_runner.protocol.prompt.qwen_tokenizer import PADDING, chat_tokens
from gpu_runner.samplers.noise import NoiseStream
from tests.support.flow_models import qwen3, sd3_modules
from tests.support.transformer_files import tiny

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


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_z_image_draws_what_its_pipeline_draws(checkpoints, draw_latents, request_of, guidance):
    """Its pipeline adds the difference to the negative text to the positive one: its guidance 2 is 3 elsewhere."""
    request = request_of(guidance_scale=guidance, negative_prompt="blue", seed=3)
    prompts = ["a red circle", "blue"]
    states = [_reference_states(prompt) for prompt in prompts]
    pipeline = ZImagePipeline(
        transformer=tiny("z_image"),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=sd3_modules().vae,
        text_encoder=None,
        tokenizer=None,
    )
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        prompt_embeds=[states[0]],
        negative_prompt_embeds=[states[1]],
        latents=NoiseStream(3, (16, 8, 8), torch.device("cpu")).draw()[None],
        guidance_scale=guidance - 1,
        num_inference_steps=8,
        width=64,
        height=64,
        output_type="latent",
    ).images[0]
    drawn = draw_latents(checkpoints["z_image"], [request])[0]
    assert (drawn - expected).abs().max() < TOLERANCE
    assert expected.std() > 0.1


def _reference_states(prompt):
    """The states of the text encoder's layer before the last one, padded and masked as in diffusers."""
    ids = torch.tensor([chat_tokens(prompt)])
    padded = torch.nn.functional.pad(ids, (0, 40 - ids.shape[1]), value=PADDING)
    mask = torch.arange(40)[None] < ids.shape[1]
    output = qwen3()(input_ids=padded, attention_mask=mask, output_hidden_states=True)
    return output.hidden_states[-2][0][mask[0]]
