"""Fields of v2 and inpaint v1 that the vendor's ControlNet page does not have."""

import pytest

from models_registry.models import Kind
from tests.dialects.zhiqite.conftest import generation_body


def test_text2image(alice):
    job = alice.generate(seed=-1)
    request = job.generation_request
    assert (job.operation, request.task, request.init_images) == ("v2/text2image", "txt2img", ())
    assert (request.sampler, request.guidance_scale, request.checkpoint) == ("Euler a", 7, "shapes")
    assert request.seed != alice.generate().generation_request.seed  # random


@pytest.mark.parametrize(
    ("name", "sampler", "scheduler"),
    [
        ("Euler a", "Euler a", "Automatic"),
        ("Heun", "Heun", "Automatic"),
        ("LMS Karras", "LMS", "Karras"),
        ("DPM2 a Karras", "DPM2 a", "Automatic"),
        ("DPM++ 2M", "DPM++ 2M", "Automatic"),
        ("DPM fast", "DPM fast", "Automatic"),
        ("DPM adaptive", "DPM adaptive", "Automatic"),
    ],
)
def test_sampler_names_of_the_vendor(alice, name, sampler, scheduler):
    request = alice.generate(sampler_index=name).generation_request
    assert (request.sampler, request.scheduler) == (sampler, scheduler)


def test_numbers_may_be_strings_and_null_is_absent(alice):
    request = alice.generate(
        steps="5", cfg_scale="8.5", width="192", enable_hr="false", seed="", negative_prompt=None
    ).generation_request
    assert (request.num_inference_steps, request.guidance_scale, request.width) == (5, 8.5, 192)
    assert (request.hires, request.negative_prompt) == (None, "")


def test_lora_by_its_simplified_name(alice, register):
    register(Kind.LORA, "loras/styles/night_8812.safetensors", name="Night")
    request = alice.generate(prompt="a star <lora:night_8812:0.6>").generation_request
    (lora,) = request.loras
    assert (lora.name, lora.unet, lora.text_encoder) == ("Night", 0.6, 0.6)


def test_image2image(alice, web):
    noise = {"initial_noise_multiplier": 0.9, "image_cfg_scale": 1.5}
    job = alice.generate(
        "v2/image2image", {"image_link": web.url("/red.png")}, denoising_strength=0.3, **noise
    )
    request = job.generation_request
    assert (request.task, request.strength, request.initial_noise_multiplier) == ("img2img", 0.3, 0.9)
    assert request.inpaint is None


def test_image_cfg_scale_guides_instruct_checkpoints_only(alice, web, checkpoint):
    body = {"image_link": web.url("/red.png")}
    job = alice.generate("v2/image2image", body, image_cfg_scale=1.5)
    assert job.generation_request.image_guidance_scale is None
    checkpoint.instruct = True
    checkpoint.save()
    job = alice.generate("v2/image2image", body, image_cfg_scale=1.5)
    assert job.generation_request.image_guidance_scale == 1.5


def test_image2image_with_a_mask(alice, web):
    fields = {
        "image_link": web.url("/red.png"), "mask_link": web.url("/mask.png"), "mask_blur_x": 2, "mask_blur_y": 6,
        "inpainting_fill": 2, "inpaint_full_res": False, "inpaint_full_res_padding": 8, "inpainting_mask_invert": 1,
    }  # fmt: skip
    inpaint = alice.generate("v2/image2image", **fields).generation_request.inpaint
    assert (inpaint.blur_x, inpaint.blur_y, inpaint.content) == (2, 6, "noise")
    assert (inpaint.only_masked, inpaint.padding, inpaint.invert) == (False, 8, True)


def test_inpaint_v1_has_its_own_defaults(alice, web):
    links = {"image_link": web.url("/red.png"), "mask_link": web.url("/mask.png")}
    inpaint = alice.generate("v1/inpaint", links).generation_request.inpaint
    assert (inpaint.blur_x, inpaint.blur_y, inpaint.content) == (4, 4, "original")
    assert (inpaint.only_masked, inpaint.padding, inpaint.invert) == (True, 32, False)


def test_controlnet_with_text2image(alice, web, register):
    register(Kind.CONTROLNET, "controlnet/canny.safetensors")
    unit = {"image_link": web.url("/red.png"), "module": "canny", "model": "canny", "resize_mode": 2}
    request = alice.generate("v2/controlnet", {"controlnet": {"args": [unit]}}).generation_request
    assert (request.task, request.controls[0].resize_mode) == ("txt2img", "fill")


def test_reference_needs_no_model(alice, web):
    unit = {"image_link": web.url("/red.png"), "module": "reference_only", "control_mode": 2}
    request = alice.generate("v2/controlnet", {"controlnet": {"args": [unit]}}).generation_request
    assert (request.controls[0].model, request.controls[0].control_mode) == ("", "control")


def test_image_url_is_fetched_once_per_request(alice, web):
    link = web.url("/red.png")
    unit = {"image_link": link, "module": "reference_only"}
    alice.generate("v2/controlnet", {"image_link": link, "controlnet": {"args": [unit]}})
    assert len(web.asked) == 1


STOCK_VAE = "vae-ft-mse-840000-ema-pruned.vae.pt"


def test_vae_of_the_vendors_example_is_the_checkpoints_own_without_such_a_file(alice, register):
    register(Kind.VAE, "vae/sepia.safetensors")
    job = alice.generate(scripts={"sd_vae": STOCK_VAE.upper()})
    assert job.generation_request.vae == ""
    job = alice.generate(scripts={"sd_vae": STOCK_VAE})
    assert job.generation_request.vae == ""
    assert STOCK_VAE in job.transitions.get().note


def test_vae_of_the_vendors_example_is_used_if_it_is_registered(alice, register):
    register(Kind.VAE, f"vae/{STOCK_VAE}")
    job = alice.generate(scripts={"sd_vae": STOCK_VAE})
    assert (job.generation_request.vae, job.transitions.get().note) == (STOCK_VAE, "")


def test_any_other_unknown_vae_is_refused(alice):
    assert "warm.pt" in alice.refused("sd/v2/text2image", generation_body({"sd_vae": "warm.pt"}))


@pytest.mark.parametrize(
    ("operation", "scripts", "fields", "named"),
    [
        ("v2/text2image", {"image_link": "http://a/a.png"}, {}, "alwayson_scripts.image_link"),
        ("v2/text2image", {"mask_link": "http://a/a.png"}, {}, "alwayson_scripts.mask_link"),
        ("v2/text2image", {}, {"image_link": "http://a/a.png"}, "image_link"),
        ("v2/controlnet", {"mask_link": "http://a/a.png"}, {}, "alwayson_scripts.mask_link"),
    ],
)
def test_base_image_that_would_have_no_effect_is_named(alice, operation, scripts, fields, named):
    message = alice.refused(f"sd/{operation}", generation_body(scripts, **fields))
    assert message == f"{named} must be absent: this operation has no base image"
