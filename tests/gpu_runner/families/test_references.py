"""Reference images: what editing models read beside the latent, as diffusers' pipelines do, and in a batch as alone."""

import re
from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import pytest
import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    FluxKontextPipeline,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
)
from diffusers.pipelines.flux2.image_processor import Flux2ImageProcessor
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
from PIL import Image
from transformers import Qwen2VLImageProcessorPil

from gpu_runner.networks import batched_calls
from gpu_runner.networks.conditioning import TextEncodingOptions
from gpu_runner.networks.diffusion.latent_space import denormalized
from gpu_runner.networks.flow.packing import packed, positions_side_by_side, unpacked
from gpu_runner.networks.operations import Denoise
from gpu_runner.networks.text.text_encoder import encode
from gpu_runner.protocol.families.references import KONTEXT_SIZES
from gpu_runner.protocol.families.transformers import FLUX1_KONTEXT, FLUX2
from gpu_runner.protocol.prompt.qwen_tokenizer import END, IMAGE, IMAGE_END, IMAGE_START, START, tokens_of
from gpu_runner.samplers.noise import NoiseStream
from tests.support.flow_models import flux2_vae, qwen2_5_vl, qwen_vae, sd3_modules
from tests.support.transformer_files import TINY, tiny

TOLERANCE = 1e-4
pytestmark = pytest.mark.slow


def picture(seed: int, width: int = 64, height: int = 64) -> Image.Image:
    values = (np.indices((height, width, 3)).sum(0) * (seed + 3) + seed * 40) % 256
    return Image.fromarray(values.astype(np.uint8))


def noise(channels: int = 16, side: int = 8):
    return NoiseStream(3, (channels, side, side), torch.device("cpu")).draw()[None]


def test_kontext_draws_what_its_pipeline_draws(checkpoints, draw_latents, request_of, small_references):
    checkpoint, image = checkpoints["kontext"], picture(1, 96, 48)
    text = encode(checkpoint, ["make it blue"], TextEncodingOptions())[0]
    vae = deepcopy(sd3_modules().vae)
    latents = FLUX1_KONTEXT.latents
    vae.register_to_config(shift_factor=latents.shift_factor, scaling_factor=latents.scaling_factor)
    pipeline = FluxKontextPipeline(
        transformer=tiny("flux1"),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        **dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")),
    )
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline(
        image=image,
        prompt_embeds=text.context[None],
        pooled_prompt_embeds=text.pooled[None],
        latents=packed(noise()),
        num_inference_steps=8,
        guidance_scale=2.5,
        width=64,
        height=64,
        max_area=64 * 64,
        _auto_resize=False,
        output_type="latent",
    )
    expected = unpacked(result.images, 8, 8)[0]
    request = request_of(prompt="make it blue", guidance_scale=2.5, seed=3)
    drawn = draw_latents(checkpoint, [request], references=[[image]])[0]
    assert (drawn - expected).abs().max() < TOLERANCE
    without = draw_latents(checkpoint, [request])[0]
    assert (drawn - without).abs().max() > 0.01


def test_flux2_draws_what_its_pipeline_draws_with_two_references(checkpoints, draw_latents, request_of):
    checkpoint, images = checkpoints["flux2"], [picture(1), picture(2, 128, 32)]
    texts = encode(checkpoint, ["the first in the colors of the second", ""], TextEncodingOptions())
    pipeline = Flux2KleinPipeline(
        transformer=tiny("flux2"),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=flux2_vae(),
        text_encoder=None,
        tokenizer=None,
    )
    pipeline.vae_scale_factor = 8
    pipeline.image_processor = Flux2ImageProcessor(vae_scale_factor=16)
    pipeline.image_processor.check_image_input = lambda image: None  # 64 pixels are its smallest side
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        image=images,
        prompt_embeds=texts[0].context[None],
        negative_prompt_embeds=texts[1].context[None],
        latents=noise(128, 4),
        guidance_scale=3.0,
        num_inference_steps=8,
        width=64,
        height=64,
        output_type="latent",
    ).images[0]
    request = request_of(prompt="the first in the colors of the second", guidance_scale=3.0, seed=3)
    drawn = draw_latents(checkpoint, [request], references=[images])[0]
    assert (denormalized(checkpoint, drawn[None])[0] - expected).abs().max() < TOLERANCE


INSTRUCTION = (
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, objects, background),"
    " then explain how the user's text instruction should alter or modify the image. Generate a new image that meets the"
    " user's requirements while maintaining consistency with the original input where appropriate.<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
SHOWN = "<|vision_start|><|image_pad|><|vision_end|>"


def instructed_states(prompt: str, images: list[Image.Image], *, numbered: bool) -> torch.Tensor:
    """As the pipelines of Qwen-Image-Edit encode, with the image processor and the positions of transformers."""
    seen = Qwen2VLImageProcessorPil(size={"shortest_edge": 56 * 56, "longest_edge": 12845056})(
        images=images, return_tensors="pt"
    )
    counts = [int(grid.prod()) // 4 for grid in seen["image_grid_thw"]]
    shown = [
        (f"Picture {number}: " if numbered else "") + SHOWN.replace("<|image_pad|>", "<|image_pad|>" * count)
        for number, count in enumerate(counts, 1)
    ]
    special = {"<|im_start|>": START, "<|im_end|>": END, "<|image_pad|>": IMAGE}
    special |= {"<|vision_start|>": IMAGE_START, "<|vision_end|>": IMAGE_END}
    tokens = []
    for piece in re.split(r"(<\|[a-z_]+\|>)", INSTRUCTION.format("".join(shown) + prompt)):
        tokens += [special[piece]] if piece in special else tokens_of(piece)
    ids = torch.tensor([tokens])
    states = qwen2_5_vl()(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=seen["pixel_values"],
        image_grid_thw=seen["image_grid_thw"],
        mm_token_type_ids=(ids == IMAGE).int(),
        output_hidden_states=True,
    ).hidden_states[-1]
    return states[:, 64:]


@pytest.mark.parametrize("variant", ["edit", "edit_plus", "edit_2511"])
def test_qwen_image_edit_draws_what_its_pipeline_draws(
    checkpoints, draw_latents, request_of, small_references, monkeypatch, variant
):
    """The text encoder sees the images, too; guidance keeps the norm of each token."""
    images = [picture(1)] if variant == "edit" else [picture(1, 128, 32), picture(2)]
    module = pipeline_qwenimage_edit if variant == "edit" else pipeline_qwenimage_edit_plus
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "VAE_IMAGE_SIZE", 64 * 64)
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "CONDITION_IMAGE_SIZE", 112 * 112)
    original = module.calculate_dimensions
    resized = 64 * 64 if variant == "edit" else None
    monkeypatch.setattr(
        module,
        "calculate_dimensions",
        lambda area, ratio: (*original(resized or area, ratio), None)[: 3 if resized else 2],
    )
    transformer = tiny("qwen_image")
    if variant == "edit_2511":
        transformer = QwenImageTransformer2DModel(**TINY["qwen_image"], zero_cond_t=True)
        transformer.load_state_dict(tiny("qwen_image").state_dict())
    pipeline_class = QwenImageEditPipeline if variant == "edit" else QwenImageEditPlusPipeline
    pipeline = pipeline_class(
        transformer=transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, max_image_seq_len=8192, max_shift=0.9, shift_terminal=0.02
        ),
        vae=qwen_vae(),
        **dict.fromkeys(("text_encoder", "tokenizer", "processor")),
    )
    pipeline.set_progress_bar_config(disable=True)
    prompts = {"": "make it blue", "negative_": "dull, and very much too long"}
    condition = [pipeline.image_processor.resize(image, *conditioned(image)) for image in images]
    states = {
        name: instructed_states(prompt, condition, numbered=variant != "edit")
        for name, prompt in prompts.items()
    }
    result = pipeline(
        image=images if variant != "edit" else images[0],
        **{f"{name}prompt_embeds": one for name, one in states.items()},
        **{f"{name}prompt_embeds_mask": torch.ones(one.shape[:2]).long() for name, one in states.items()},
        true_cfg_scale=4.0,
        latents=packed(noise()),
        num_inference_steps=8,
        width=64,
        height=64,
        output_type="latent",
    )
    expected = unpacked(result.images, 8, 8)[0]
    request = request_of(
        prompt="make it blue", negative_prompt=prompts["negative_"], guidance_scale=4.0, seed=3
    )
    drawn = draw_latents(checkpoints[variant], [request], references=[images])[0]
    assert (drawn - expected).abs().max() < TOLERANCE
    other = draw_latents(checkpoints[variant], [request], references=[[picture(5), *images[1:]]])[0]
    assert (drawn - other).abs().max() > 0.01


def conditioned(image: Image.Image) -> tuple[int, int]:
    """Height and width in which the pipeline of the Plus models shows an image to the text encoder."""
    width, height = pipeline_qwenimage_edit_plus.calculate_dimensions(112 * 112, image.width / image.height)
    return height, width


STRANGERS: Sequence[tuple[dict, tuple[Image.Image, ...]]] = (
    ({"prompt": "make it red"}, (picture(1),)),
    ({"prompt": "make it blue and quite a bit larger", "guidance_scale": 3.0}, (picture(2),)),
    ({"prompt": "", "negative_prompt": "red", "sampler": "DPM++ 2M", "scheduler": "Karras"}, (picture(3),)),
    ({"prompt": "two", "sampler": "Heun", "num_inference_steps": 5}, (picture(4), picture(5))),
    ({"prompt": "wide", "sampler": "Euler a"}, (picture(6), picture(7))),
    ({"prompt": "one wide", "guidance_scale": 1.0}, (picture(8, 96, 48),)),
    ({"prompt": "none", "guidance_scale": 2.0}, ()),
    ({"prompt": "a triangle", "sampler": "LCM", "guidance_scale": 1.0}, (picture(9),)),
)


@pytest.mark.parametrize("family", ["kontext", "flux2", "edit_2511"])
def test_an_edited_image_does_not_depend_on_its_batch(
    checkpoints, draw_latents, request_of, small_references, family
):
    requests = [request_of(**fields, seed=seed) for seed, (fields, _images) in enumerate(STRANGERS)]
    images = [images for _fields, images in STRANGERS]
    sizes, execute = [], batched_calls.execute

    def counting(operations):
        sizes.append(len(operations) if isinstance(operations[0], Denoise) else 0)
        return execute(operations)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batched_calls, "execute", counting)
        together = draw_latents(checkpoints[family], requests, references=images)
    assert max(sizes) >= 3
    for request, own, latent in zip(requests, images, together, strict=True):
        alone = draw_latents(checkpoints[family], [request], references=[own])[0]
        assert (alone - latent).abs().max() < 1e-5, request.prompt


def test_several_references_lie_side_by_side():
    """No two tokens of references share a position."""
    latents = [torch.zeros(1, 16, *size) for size in ((8, 8), (8, 8), (4, 12), (16, 6))]
    places = positions_side_by_side(latents)
    assert len({tuple(place) for place in places.tolist()}) == len(places) == 16 + 16 + 12 + 24
    assert (places[:16, 0] == 0).all()
    assert (places[16:, 0] == 1).all()


def test_references_have_the_sizes_that_a_model_was_trained_on():
    kontext, flux2 = FLUX1_KONTEXT.references, FLUX2.references
    assert kontext.size(4000, 3000, 512 * 512) == (1184, 880)
    assert kontext.size(1, 4000, 512 * 512) == min(KONTEXT_SIZES)
    assert flux2.size(4000, 4000, 2048 * 2048) == (1024, 1024)
    assert flux2.size(100, 100, 512 * 512) == (512, 512)
    width, height = flux2.size(10_000, 1, 512 * 512)
    assert width * height == pytest.approx(512 * 512, rel=0.1)
