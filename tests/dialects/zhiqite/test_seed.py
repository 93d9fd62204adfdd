"""The example of the users' document, with other image hosts, and every field of its table."""

import json
import re
from pathlib import Path

import pytest

from models_registry.models import Kind
from tests.dialects.zhiqite.conftest import PREFIX, generation_body

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent / "seed_example.json"


@pytest.fixture
def example(register, web):
    register(Kind.CHECKPOINT, "checkpoints/revAnimated_v122_7371.safetensors")
    register(Kind.VAE, "vae/vae-ft-mse-840000-ema-pruned.vae.pt")
    register(Kind.CONTROLNET, "controlnet/control_v1p_sd15_brightness.safetensors")
    text = re.sub(r"https://[^/]+(?=/)", web.url("").rstrip("/"), DATA.read_text())
    body = json.loads(text)
    unit = body["alwayson_scripts"]["controlnet"]["args"][0]
    for url in (unit["image_link"], body["alwayson_scripts"]["image_link"]):
        web.answers[url.removeprefix(web.url("").rstrip("/"))] = web.answers["/red.png"]
    return body


@pytest.mark.field(
    "zhiqite_controlnet",
    "X-Request-req-accessKeyId",
    "X-Request-req-accessKeySecret",
    "alwayson_scripts.id_task",
)
@pytest.mark.field("zhiqite_controlnet_answer", "code", "msg", "data", "data.task_id")
def test_example_gets_the_documented_response(alice, example):
    assert alice.post("sd/v2/controlnet", example) == {
        "code": "200",
        "msg": "success",
        "data": {"task_id": "pro1686666"},
    }


@pytest.mark.field("zhiqite_controlnet_answer", "code", "msg", "data")
def test_failure_is_400_with_a_message(alice, example):
    assert alice.post("sd/v2/controlnet", example | {"prompt": ""}) == {
        "code": "400",
        "msg": "prompt: Field required",
        "data": {"errorMessage": "prompt: Field required"},
    }


@pytest.mark.field("zhiqite_controlnet", "Content-Type")
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_body_is_json_with_any_content_type(alice, example, kind):
    """curl sends a form's content type by default."""
    path = f"{PREFIX}sd/v2/controlnet"
    assert alice.client.post(path, json.dumps(example), content_type=kind).json()["code"] == "200"


@pytest.mark.field(
    "zhiqite_controlnet",
    "prompt",
    "n_iter",
    "steps",
    "seed",
    "width",
    "height",
    "negative_prompt",
    "cfg_scale",
    "sampler_index",
    "denoising_strength",
    "alwayson_scripts",
    "alwayson_scripts.sd_model_checkpoint",
    "alwayson_scripts.sd_vae",
    "alwayson_scripts.image_link",
    "alwayson_scripts.controlnet",
    "alwayson_scripts.controlnet.args",
)
def test_example_becomes_its_generation_request(alice, example):
    request = alice.submit("sd/v2/controlnet", example).generation_request
    assert (request.prompt, request.negative_prompt) == (example["prompt"], example["negative_prompt"])
    assert (request.task, request.strength, len(request.init_images)) == ("img2img", 0.55, 1)
    assert (request.num_images, request.num_inference_steps, request.seed) == (1, 25, 1221212)
    assert (request.width, request.height, request.guidance_scale) == (768, 768, 11)
    assert (request.sampler, request.scheduler) == (
        "DPM++ 2M",
        "Automatic",
    )  # Automatic is Karras for this sampler
    assert request.checkpoint == "revAnimated_v122_7371"
    assert request.vae == "vae-ft-mse-840000-ema-pruned.vae.pt"
    assert (request.hires, request.output_format) == (None, "jpeg")


@pytest.mark.field(
    "zhiqite_controlnet",
    "alwayson_scripts.controlnet.args.image_link",
    "alwayson_scripts.controlnet.args.module",
    "alwayson_scripts.controlnet.args.model",
    "alwayson_scripts.controlnet.args.weight",
    "alwayson_scripts.controlnet.args.resize_mode",
    "alwayson_scripts.controlnet.args.processor_res",
    "alwayson_scripts.controlnet.args.threshold_a",
    "alwayson_scripts.controlnet.args.threshold_b",
    "alwayson_scripts.controlnet.args.guidance_start",
    "alwayson_scripts.controlnet.args.guidance_end",
    "alwayson_scripts.controlnet.args.pixel_perfect",
    "alwayson_scripts.controlnet.args.control_mode",
)
def test_unit_of_the_example_becomes_a_control_unit(alice, example):
    (unit,) = alice.submit("sd/v2/controlnet", example).generation_request.controls
    assert (unit.module, unit.model) == ("inpaint", "control_v1p_sd15_brightness")
    assert unit.image is not None
    assert (unit.weight, unit.guidance_start, unit.guidance_end) == (0.7, 0.35, 0.75)
    assert (unit.resize_mode, unit.control_mode, unit.pixel_perfect) == ("crop", "balanced", True)
    assert (unit.processor_res, unit.threshold_a, unit.threshold_b) == (512, 64, 64)


@pytest.mark.field("zhiqite_controlnet", "alwayson_scripts.controlnet.args.low_vram")
@pytest.mark.parametrize("low_vram", [True, False])
def test_low_vram_has_no_effect(alice, example, low_vram):
    example["alwayson_scripts"]["controlnet"]["args"][0]["low_vram"] = low_vram
    job = alice.submit("sd/v2/controlnet", example)
    assert job.received["alwayson_scripts"]["controlnet"]["args"][0]["low_vram"] is low_vram
    assert len(job.generation_request.controls) == 1


@pytest.mark.field("zhiqite_controlnet", "alwayson_scripts.controlnet.args.enabled")
def test_disabled_unit_is_ignored(alice, example):
    units = example["alwayson_scripts"]["controlnet"]["args"]
    units.append({**units[0], "enabled": False})
    assert len(alice.submit("sd/v2/controlnet", example).generation_request.controls) == 1
    del units[0]
    assert "at least one unit must be enabled" in alice.refused("sd/v2/controlnet", example)


@pytest.mark.field("zhiqite_controlnet", "batch_size", "n_iter")
def test_number_of_images_is_n_iter_times_batch_size(alice):
    request = alice.generate(n_iter=3, batch_size="2").generation_request
    assert (request.num_images, request.batch_size) == (6, 2)


@pytest.mark.field("zhiqite_controlnet", "restore_faces")
def test_restore_faces(alice, face_models):
    part = alice.generate(restore_faces=True).generation_request.face_restoration
    assert (part.model, part.detector, part.visibility) == ("GFPGANv1.4", "yunet", 1.0)
    assert alice.generate(restore_faces=False).generation_request.face_restoration is None


def test_missing_face_restoration_model_is_named(alice):
    message = alice.refused("sd/v2/text2image", generation_body(restore_faces=True))
    assert "GFPGANv1.4.pth in the folder face_restoration" in message


@pytest.mark.field(
    "zhiqite_controlnet", "enable_hr", "hr_scale", "hr_second_pass_steps", "denoising_strength"
)
def test_hires_pass_by_a_factor(alice):
    hires = alice.generate(enable_hr=True, hr_scale=2, hr_second_pass_steps=7, denoising_strength=0.4)
    hires = hires.generation_request.hires
    assert (hires.width, hires.height, hires.num_inference_steps, hires.strength) == (256, 256, 7, 0.4)


@pytest.mark.field("zhiqite_controlnet", "hr_resize_x", "hr_resize_y")
def test_hires_pass_to_a_size(alice):
    """x is the width, as in the webui; the vendor's document describes it as the height."""
    hires = alice.generate(
        enable_hr=True, hr_scale=2, hr_resize_x=192, hr_resize_y=320
    ).generation_request.hires
    assert (hires.width, hires.height, hires.scale) == (192, 320, None)
    hires = alice.generate(enable_hr=True, hr_resize_x=192, width=128, height=256).generation_request.hires
    assert (hires.width, hires.height) == (192, 384)


@pytest.mark.field("zhiqite_controlnet", "enable_hr")
def test_hires_pass_of_image2image_is_refused(alice, web):
    message = alice.refused(
        "sd/v2/image2image", generation_body({"image_link": web.url("/red.png")}, enable_hr=True)
    )
    assert message.startswith("enable_hr is available for text2image only")


@pytest.mark.field("zhiqite_controlnet", "resize_mode", "alwayson_scripts.image_link")
@pytest.mark.parametrize(("number", "mode"), enumerate(["stretch", "crop", "fill", "latent"]))
def test_resize_mode(alice, web, number, mode):
    job = alice.generate("v2/image2image", {"image_link": web.url("/wide.png")}, resize_mode=number)
    assert job.generation_request.resize_mode == mode


@pytest.mark.field("zhiqite_controlnet", "alwayson_scripts.override_settings")
def test_override_settings(alice):
    settings = {"CLIP_stop_at_last_layers": 2, "eta_noise_seed_delta": 31337, "eta_ancestral": 0.5}
    request = alice.generate(scripts={"override_settings": settings}).generation_request
    assert (request.clip_skip, request.eta_noise_seed_delta, request.eta) == (2, 31337, 0.5)


@pytest.mark.field("zhiqite_controlnet", "alwayson_scripts.override_settings")
def test_unknown_setting_is_refused_by_name(alice):
    body = generation_body({"override_settings": {"outdir_samples": "/etc"}})
    message = alice.refused("sd/v2/text2image", body)
    assert message.startswith("alwayson_scripts.override_settings.outdir_samples:")


@pytest.mark.field("zhiqite_controlnet", "alwayson_scripts.output_image_format")
@pytest.mark.parametrize(("name", "expected"), [(None, "jpeg"), ("jpg", "jpeg"), ("PNG", "png")])
def test_output_image_format(alice, name, expected):
    assert alice.generate(scripts={"output_image_format": name}).generation_request.output_format == expected
