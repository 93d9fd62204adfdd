"""ControlNets of the flow-matching families: latents are those of diffusers' pipelines with the same weights."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FluxControlNetPipeline,
    QwenImageControlNetInpaintPipeline,
    QwenImageControlNetPipeline,
    StableDiffusion3ControlNetInpaintingPipeline,
    StableDiffusion3ControlNetPipeline,
    ZImageControlNetInpaintPipeline,
    ZImageControlNetPipeline,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from gpu_runner.controlnet.units import PreparedUnit
from gpu_runner.models.loaders.controlnet import check_family
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.conditioning import TextEncodingOptions
from gpu_runner.networks.flow.packing import packed, unpacked
from gpu_runner.networks.text.text_encoder import encode
from gpu_runner.protocol.catalogs.preprocessors import MODULES
from gpu_runner.protocol.errors import InvalidRequest, ModelUnavailable
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.samplers.noise import NoiseStream
from gpu_runner.tasks.control_hints import check_mask, union_mode
from tests.support.flow_controlnets import CONTROLNETS, tiny_controlnet, write_controlnet
from tests.support.flow_models import normalizing_vae, qwen_vae, sd3_modules
from tests.support.transformer_files import tiny

TOLERANCE = 1e-4
SIDE = 64
PROMPTS = ("a red circle", "blue")
LINES = np.zeros((SIDE, SIDE, 3), np.uint8)
LINES[20:44, 12:50] = (255, 90, 30)
PHOTO = (np.indices((SIDE, SIDE, 3)).sum(0) % 64 * 4).astype(np.uint8)
HOLE = np.zeros((SIDE, SIDE), np.uint8)
HOLE[16:40, 24:64] = 255
EMPTY = dict.fromkeys(("text_encoder", "tokenizer"))
EMPTY_2 = EMPTY | dict.fromkeys(("text_encoder_2", "tokenizer_2"))
EMPTY_3 = EMPTY_2 | dict.fromkeys(("text_encoder_3", "tokenizer_3"))


@pytest.fixture(scope="module")
def controlnets(tmp_path_factory):
    """Loaded from files in their everyday layouts, by name."""
    root = tmp_path_factory.mktemp("controlnets")
    store = ModelStore(root, "cpu", torch.float32, 2**30)
    return {name: store.controlnet(write_controlnet(root, name)) for name in CONTROLNETS}


@pytest.fixture(autouse=True)
def _deterministic_latents(monkeypatch):
    """The engine takes the mode of the VAE's distribution, as most pipelines do."""
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())


def _unit(model, *, module="none", hidden=None, background=None, image=LINES, region=None, **fields):
    request = ControlUnit(model="net", module=module, **{"weight": 0.7, **fields})
    return PreparedUnit(request, MODULES[module], model, image, hidden, region, background=background)


def _pixels(image=LINES):
    return torch.from_numpy(image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]


def _mask():
    return torch.from_numpy((HOLE > 127).astype(np.float32))[None, None]


def _noise():
    return NoiseStream(3, (16, 8, 8), torch.device("cpu")).draw()[None]


def _texts(checkpoint):
    return encode(checkpoint, list(PROMPTS), TextEncodingOptions())


def _silent(pipeline, **fields):
    pipeline.set_progress_bar_config(disable=True)
    sizes = {"num_inference_steps": 8, "width": SIDE, "height": SIDE, "output_type": "latent"}
    return pipeline(**sizes, controlnet_conditioning_scale=0.7, **fields).images


def _flux(checkpoint, name, **fields):
    text = _texts(checkpoint)[0]
    pipeline = FluxControlNetPipeline(
        FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        normalizing_vae("flux1"),
        transformer=tiny("flux1"),
        controlnet=tiny_controlnet(name),
        **EMPTY_2,
    )
    embeds = {"prompt_embeds": text.context[None], "pooled_prompt_embeds": text.pooled[None]}
    images = {"control_image": _pixels(), "latents": packed(_noise()), "guidance_scale": 4.0}
    return unpacked(_silent(pipeline, **embeds, **images, **fields), 8, 8)[0]


def _qwen(checkpoint, name, **fields):
    texts = _texts(checkpoint)
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, max_image_seq_len=8192, max_shift=0.9, shift_terminal=0.02
    )
    pipeline_class = (
        QwenImageControlNetInpaintPipeline if "control_mask" in fields else QwenImageControlNetPipeline
    )
    parts = {"transformer": tiny("qwen_image"), "controlnet": tiny_controlnet(name), **EMPTY}
    pipeline = pipeline_class(scheduler=scheduler, vae=qwen_vae(), **parts)
    embeds = {
        f"{prefix}{kind}": value
        for prefix, text in zip(("", "negative_"), texts, strict=True)
        for kind, value in {
            "prompt_embeds": text.context[None],
            "prompt_embeds_mask": torch.ones(1, len(text.context), dtype=torch.long),
        }.items()
    }
    latents = packed(_noise())
    return unpacked(_silent(pipeline, **embeds, latents=latents, true_cfg_scale=4.0, **fields), 8, 8)[0]


def _sd3(checkpoint, name, **fields):
    texts = _texts(checkpoint)
    is_inpainting = "control_mask" in fields
    pipeline_class = (
        StableDiffusion3ControlNetInpaintingPipeline if is_inpainting else StableDiffusion3ControlNetPipeline
    )
    pipeline = pipeline_class(
        transformer=sd3_modules().transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=normalizing_vae("sd3"),
        controlnet=tiny_controlnet(name),
        **EMPTY_3,
    )
    embeds = {
        "prompt_embeds": texts[0].context[None],
        "pooled_prompt_embeds": texts[0].pooled[None],
        "negative_prompt_embeds": texts[1].context[None],
        "negative_pooled_prompt_embeds": texts[1].pooled[None],
    }
    return _silent(pipeline, **embeds, latents=_noise(), guidance_scale=4.0, **fields)[0]


def _z_image(checkpoint, name, **fields):
    """Guidance 3 of its pipeline is 4 elsewhere."""
    texts = [text.context for text in _texts(checkpoint)]
    pipeline_class = ZImageControlNetInpaintPipeline if "mask_image" in fields else ZImageControlNetPipeline
    pipeline = pipeline_class(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=normalizing_vae("z_image"),
        transformer=tiny("z_image"),
        controlnet=tiny_controlnet(name),
        **EMPTY,
    )
    embeds = {"prompt_embeds": [texts[0]], "negative_prompt_embeds": [texts[1]]}
    return _silent(pipeline, **embeds, latents=_noise(), guidance_scale=3.0, **fields)[0]


PIPELINES = {"flux1": _flux, "qwen_image": _qwen, "sd3": _sd3, "z_image": _z_image}
# Arguments of the pipeline, and of the unit, besides the control image.
CASES = {
    "flux union": ({"control_mode": 2}, {"control_type": "depth"}),
    "flux edges": ({}, {}),
    "XLabs": ({}, {}),
    "qwen union": ({"control_image": _pixels()}, {}),
    "qwen inpainting": (
        {"control_image": _pixels(PHOTO), "control_mask": _mask()},
        {"module": "inpaint_only", "hidden": HOLE, "image": PHOTO},
    ),
    "z-image 1": ({"control_image": _pixels()}, {}),
    "z-image 2.0": ({"control_image": _pixels()}, {}),
    "z-image 2.1": (
        {"control_image": _pixels(), "image": _pixels(PHOTO), "mask_image": _mask()},
        {"background": (PHOTO, HOLE)},
    ),
    "sd3 InstantX": ({"control_image": _pixels()}, {}),
    "sd3 inpainting": (
        {"control_image": _pixels(PHOTO), "control_mask": _mask()},
        {"module": "inpaint_only", "hidden": HOLE, "image": PHOTO},
    ),
    "sd3 large": ({"control_image": _pixels()}, {}),
}


@pytest.mark.parametrize("name", list(CASES))
def test_a_controlnet_draws_what_its_pipeline_draws(checkpoints, controlnets, draw_latents, request_of, name):
    of_pipeline, of_unit = CASES[name]
    family = CONTROLNETS[name].family
    checkpoint, model = checkpoints[family], controlnets[name]
    if "background" in of_unit:
        photo, hole = of_unit["background"]
        of_unit = of_unit | {"background": _unit(None, hidden=hole, image=photo)}
    expected = PIPELINES[family](checkpoint, name, **of_pipeline)
    request = request_of(guidance_scale=4.0, negative_prompt="blue", seed=3)
    drawn = draw_latents(checkpoint, [request], units=[_unit(model, **of_unit)])[0]
    assert (drawn - expected).abs().max() < TOLERANCE
    assert (draw_latents(checkpoint, [request])[0] - expected).abs().max() > 0.05


def test_networks_of_xlabs_repeat_their_residuals_block_by_block(
    checkpoints, controlnets, draw_latents, request_of
):
    """Others give a residual to neighboring blocks: with four blocks, two residuals come in another order."""
    deep = tiny("flux1 deep")
    checkpoint = replace(checkpoints["flux1"], unet=deep, unet_key="deep")
    pipeline = FluxControlNetPipeline(
        FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        normalizing_vae("flux1"),
        transformer=deep,
        controlnet=tiny_controlnet("XLabs"),
        **EMPTY_2,
    )
    text = _texts(checkpoint)[0]
    embeds = {"prompt_embeds": text.context[None], "pooled_prompt_embeds": text.pooled[None]}
    images = {"control_image": _pixels(), "latents": packed(_noise()), "guidance_scale": 4.0}
    expected = unpacked(_silent(pipeline, **embeds, **images), 8, 8)[0]
    request = request_of(guidance_scale=4.0, seed=3)
    drawn = draw_latents(checkpoint, [request], units=[_unit(controlnets["XLabs"])])[0]
    assert (drawn - expected).abs().max() < TOLERANCE


def test_stability_ais_network_for_edges_reads_them_brighter(
    checkpoints, controlnets, draw_latents, request_of
):
    white = np.where(LINES > 0, 255, 0).astype(np.uint8)
    expected = _sd3(checkpoints["sd3"], "sd3 large", control_image=(_pixels(white) + 1) / 2 * 127.5 + 0.5)
    request = request_of(guidance_scale=4.0, negative_prompt="blue", seed=3)
    unit = _unit(controlnets["sd3 large"], control_type="canny", image=white)
    drawn = draw_latents(checkpoints["sd3"], [request], units=[unit])[0]
    assert (drawn - expected).abs().max() < TOLERANCE


IN_ONE_BATCH = {
    "flux1": ("flux union", "flux edges", "XLabs"),
    "qwen_image": ("qwen union", "qwen inpainting"),
    "z_image": ("z-image 1", "z-image 2.0", "z-image 2.1"),
    "sd3": ("sd3 InstantX", "sd3 inpainting", "sd3 large"),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", list(IN_ONE_BATCH))
def test_an_image_with_controlnets_does_not_depend_on_its_batch(
    checkpoints, controlnets, draw_latents, request_of, family
):
    """Eight requests: without a ControlNet, with one, with two of them, and for a part of the steps or of the image."""
    names = IN_ONE_BATCH[family]
    region = np.zeros((SIDE, SIDE), np.uint8)
    region[:, 32:] = 255

    def unit(name, **fields):
        needs_mask = {"module": "inpaint_only", "hidden": HOLE, "image": PHOTO}
        extra = needs_mask if "inpainting" in name else {"control_type": "pose"}
        return _unit(controlnets[name], **extra, **fields)

    units = [
        [],
        *([unit(name)] for name in names),
        [unit(names[0], weight=1.3), unit(names[1], guidance_end=0.5)],
        [unit(names[-1], region=region), unit(names[0], control_mode="control")],
        [unit(names[0], guidance_start=0.4), unit(names[0], control_mode="prompt", image=PHOTO)]
        if "inpainting" not in names[0]
        else [],
        [],
    ]
    prompts = ("a red circle", "a blue square on a green table", "", "a cat " * 60)
    requests = [
        request_of(prompt=prompts[n % 4], guidance_scale=1.0 + n % 3, negative_prompt="dull", seed=n)
        for n in range(len(units))
    ]
    together = draw_latents(checkpoints[family], requests, units=units)
    for request, own, latent in zip(requests, units, together, strict=True):
        alone = draw_latents(checkpoints[family], [request], units=[own])[0]
        assert (alone - latent).abs().max() < 1e-5, request.seed
        if own:
            without = draw_latents(checkpoints[family], [request])[0]
            assert (without - latent).abs().max() > 0.01, request.seed


def test_a_region_keeps_the_control_to_its_tokens(checkpoints, controlnets, draw_latents, request_of):
    """A region without a white pixel is the same as no ControlNet, and a white one the same as no region."""
    request = request_of(guidance_scale=4.0, seed=3)
    white, black = (np.full((SIDE, SIDE), value, np.uint8) for value in (255, 0))
    for family, name in (("flux1", "flux edges"), ("z_image", "z-image 1")):
        draw = partial(draw_latents, checkpoints[family], [request])
        whole, none = draw(units=[_unit(controlnets[name])])[0], draw()[0]
        assert (draw(units=[_unit(controlnets[name], region=white)])[0] - whole).abs().max() < 1e-5
        assert (draw(units=[_unit(controlnets[name], region=black)])[0] - none).abs().max() < 1e-5
        assert (whole - none).abs().max() > 0.05


def test_a_controlnet_is_refused_for_another_family_or_width(checkpoints, controlnets):
    for name, family in (("flux edges", "qwen_image"), ("qwen union", "flux1"), ("z-image 1", "chroma")):
        with pytest.raises(ModelUnavailable, match="another family"):
            check_family(controlnets[name], checkpoints[family], name)
    narrow = replace(controlnets["flux edges"], net=SimpleNamespace(inner_dim=16))
    with pytest.raises(ModelUnavailable, match="16 wide, those of the checkpoint 32"):
        check_family(narrow, checkpoints["flux1"], "flux edges")


def test_a_union_must_be_told_what_the_image_is(controlnets):
    union = controlnets["flux union"]
    assert union_mode(_unit(union, module="canny"), union) == 0
    assert union_mode(_unit(union, module="depth_anything_v2"), union) == 2
    assert union_mode(_unit(union, module="canny", control_type="low_quality"), union) == 6
    with pytest.raises(InvalidRequest, match="control_type must say"):
        union_mode(_unit(union), union)


def test_a_mask_goes_to_controlnets_that_read_one(controlnets):
    with pytest.raises(InvalidRequest, match="reads no mask"):
        check_mask(_unit(None, module="inpaint_only", hidden=HOLE), controlnets["flux edges"])
    with pytest.raises(InvalidRequest, match="needs the preprocessor inpaint_only"):
        check_mask(_unit(None), controlnets["qwen inpainting"])
