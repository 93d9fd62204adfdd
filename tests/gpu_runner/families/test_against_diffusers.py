"""Latents of the flow-matching families are those of diffusers: same weights, texts and noise, eight Euler steps."""

import numpy as np
import pytest
import torch
from diffusers import (
    ChromaPipeline,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    FluxPipeline,
    QwenImagePipeline,
    StableDiffusion3Pipeline,
    ZImagePipeline,
)
from diffusers.pipelines.flux2.image_processor import Flux2ImageProcessor
from PIL import Image

from gpu_runner.networks.conditioning import TextEncodingOptions
from gpu_runner.networks.diffusion.latent_space import denormalized
from gpu_runner.networks.flow.packing import packed, unpacked
from gpu_runner.networks.text.prompt_chunks import chunks_of
from gpu_runner.networks.text.text_encoder import encode
from gpu_runner.protocol import InputImage
from gpu_runner.protocol.prompt.qwen_tokenizer import DESCRIBE_TOKENS, PADDING, chat_tokens, described_tokens
from gpu_runner.protocol.prompt.t5_tokenizer import END, t5_tokens
from gpu_runner.protocol.prompt.tokenizer import clip_tokenizer
from gpu_runner.samplers.noise import NoiseStream
from gpu_runner.tasks.init_image import Canvas
from tests.support.flow_models import flux2_vae, flux_clip, qwen2, qwen3, qwen_vae, sd3_modules, t5
from tests.support.transformer_files import tiny

TOLERANCE = 1e-4


@pytest.mark.parametrize(
    ("guidance", "name"), [(1.0, "sd3"), (4.5, "sd3"), (4.5, "sd3 with T5")], ids=["1", "4.5", "T5"]
)
def test_sd3_draws_what_its_pipeline_draws(checkpoints, draw_latents, request_of, guidance, name):
    request = request_of(guidance_scale=guidance, negative_prompt="blue", seed=3)
    checkpoint, modules = checkpoints[name], sd3_modules()
    texts = encode(checkpoint, ["a red circle", "blue"], TextEncodingOptions())
    assert len(texts[0].context) == (77 if name == "sd3" else 77 + 256)
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


def _hidden(pipeline_class, family, **fields):
    """Latents of a pipeline of the FLUX.1 kind: packed, with texts encoded by its own rules."""
    noise = NoiseStream(3, (16, 8, 8), torch.device("cpu")).draw()[None]
    pipeline = pipeline_class(
        transformer=tiny(family),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=family != "schnell"),
        vae=sd3_modules().vae,
        **dict.fromkeys(("text_encoder", "tokenizer")),
        **dict.fromkeys(("text_encoder_2", "tokenizer_2") if pipeline_class is FluxPipeline else ()),
    )
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline(
        latents=packed(noise), num_inference_steps=8, width=64, height=64, output_type="latent", **fields
    )
    return unpacked(result.images, 8, 8)[0]


def _t5_states(prompt, length, *, masks):
    """As the pipelines encode: padded to the whole window, which T5 sees or not."""
    ids = torch.tensor([[*t5_tokens(prompt), END]])
    padded = torch.nn.functional.pad(ids, (0, length - ids.shape[1]))
    mask = torch.arange(length)[None] < ids.shape[1]
    states = t5()(input_ids=padded, attention_mask=mask if masks else None).last_hidden_state
    return states, torch.arange(length)[None] <= ids.shape[1]


def _pooled(prompt):
    chunk = chunks_of(prompt, clip_tokenizer())[0]
    return flux_clip()(input_ids=torch.tensor([chunk.tokens])).pooler_output


@pytest.mark.parametrize(
    ("family", "guidance", "length"), [("flux1", 3.5, 512), ("flux1", 1.0, 512), ("schnell", 1.0, 256)]
)
def test_flux_draws_what_its_pipeline_draws(checkpoints, draw_latents, request_of, family, guidance, length):
    expected = _hidden(
        FluxPipeline,
        family,
        prompt_embeds=_t5_states("a red circle", length, masks=False)[0],
        pooled_prompt_embeds=_pooled("a red circle"),
        guidance_scale=guidance,
    )
    drawn = draw_latents(checkpoints[family], [request_of(guidance_scale=guidance, seed=3)])[0]
    assert (drawn - expected).abs().max() < TOLERANCE
    assert expected.std() > 0.1


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_chroma_draws_what_its_pipeline_draws(checkpoints, draw_latents, request_of, guidance):
    """The texts differ in length, so that rows of one call are padded and masked."""
    prompts = {"": "a red circle", "negative_": "blue, dull, and very much too long"}
    texts = {name: _t5_states(prompt, 512, masks=True) for name, prompt in prompts.items()}
    expected = _hidden(
        ChromaPipeline,
        "chroma",
        **{f"{name}prompt_embeds": states for name, (states, _mask) in texts.items()},
        **{f"{name}prompt_attention_mask": mask for name, (_states, mask) in texts.items()},
        guidance_scale=guidance,
    )
    request = request_of(guidance_scale=guidance, negative_prompt=prompts["negative_"], seed=3)
    drawn = draw_latents(checkpoints["chroma"], [request])[0]
    assert (drawn - expected).abs().max() < TOLERANCE
    assert expected.std() > 0.1


@pytest.mark.parametrize(("guidance", "with_image"), [(1.0, False), (3.0, False), (1.0, True)])
def test_flux2_draws_what_its_pipeline_draws(checkpoints, draw_latents, request_of, guidance, with_image):
    """Also with a reference image, which the transformer sees beside the latent."""
    picture = Image.fromarray((np.indices((64, 64, 3)).sum(0) % 64 * 4).astype(np.uint8))
    pipeline = Flux2KleinPipeline(
        transformer=tiny("flux2"),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=flux2_vae(),
        text_encoder=None,
        tokenizer=None,
    )
    pipeline.vae_scale_factor = 8
    pipeline.image_processor = Flux2ImageProcessor(vae_scale_factor=16)
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        image=picture if with_image else None,
        prompt_embeds=_stacked_states("a red circle"),
        negative_prompt_embeds=_stacked_states("blue"),
        latents=NoiseStream(3, (128, 4, 4), torch.device("cpu")).draw()[None],
        guidance_scale=guidance,
        num_inference_steps=8,
        width=64,
        height=64,
        output_type="latent",
    ).images[0]
    init = {"task": "img2img", "init_images": (InputImage(sha256="0" * 64),), "strength": 1.0}
    request = request_of(
        guidance_scale=guidance, negative_prompt="blue", seed=3, **(init if with_image else {})
    )
    canvas = Canvas(picture) if with_image else None
    drawn = draw_latents(checkpoints["flux2"], [request], canvas=canvas)[0]
    assert (denormalized(checkpoints["flux2"], drawn[None])[0] - expected).abs().max() < TOLERANCE
    assert expected.std() > 0.1


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_qwen_image_draws_what_its_pipeline_draws(checkpoints, draw_latents, request_of, guidance):
    """Guidance keeps the norm of each token. The texts differ in length, so that rows of one call are padded."""
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, max_image_seq_len=8192, max_shift=0.9, shift_terminal=0.02
    )
    pipeline = QwenImagePipeline(
        transformer=tiny("qwen_image"), scheduler=scheduler, vae=qwen_vae(), text_encoder=None, tokenizer=None
    )
    pipeline.set_progress_bar_config(disable=True)
    prompts = {"": "a red circle", "negative_": "blue, dull, and very much too long"}
    states = {name: _described_states(prompt) for name, prompt in prompts.items()}
    result = pipeline(
        **{f"{name}prompt_embeds": one for name, one in states.items()},
        **{
            f"{name}prompt_embeds_mask": torch.ones(one.shape[:2], dtype=torch.long)
            for name, one in states.items()
        },
        true_cfg_scale=guidance,
        latents=packed(NoiseStream(3, (16, 8, 8), torch.device("cpu")).draw()[None]),
        num_inference_steps=8,
        width=64,
        height=64,
        output_type="latent",
    )
    expected = unpacked(result.images, 8, 8)[0]
    request = request_of(guidance_scale=guidance, negative_prompt=prompts["negative_"], seed=3)
    drawn = draw_latents(checkpoints["qwen_image"], [request])[0]
    assert (drawn - expected).abs().max() < TOLERANCE
    assert expected.std() > 0.1


def _described_states(prompt):
    return qwen2()(input_ids=torch.tensor([described_tokens(prompt)])).last_hidden_state[:, DESCRIBE_TOKENS:]


def _stacked_states(prompt):
    ids = torch.tensor([chat_tokens(prompt, answers_at_once=True)])
    padded = torch.nn.functional.pad(ids, (0, 512 - ids.shape[1]), value=PADDING)
    mask = torch.arange(512)[None] < ids.shape[1]
    states = qwen3(config="flux2")(input_ids=padded, attention_mask=mask, output_hidden_states=True)
    return torch.cat([states.hidden_states[layer] for layer in (9, 18, 27)], dim=-1)


def _reference_states(prompt):
    """The states of the text encoder's layer before the last one, padded and masked as in diffusers."""
    ids = torch.tensor([chat_tokens(prompt)])
    padded = torch.nn.functional.pad(ids, (0, 40 - ids.shape[1]), value=PADDING)
    mask = torch.arange(40)[None] < ids.shape[1]
    output = qwen3()(input_ids=padded, attention_mask=mask, output_hidden_states=True)
    return output.hidden_states[-2][0][mask[0]]
