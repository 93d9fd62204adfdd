"""Every field of the documented client requests has an effect, is rejected, or has no effect as in the original."""

from typing import Any

import pytest

from jobs.models import Job
from models_registry.models import ModelFile, PromptStyle

pytestmark = pytest.mark.slow

OPERATIONS = ["txt2img", "img2img"]

# field: (value, name in the canonical request, value there)
COMMON: dict[str, tuple[Any, str, Any]] = {
    "prompt": ("a red circle", "prompt", "a red circle"),
    "negative_prompt": ("a dog", "negative_prompt", "a dog"),
    "seed": (5, "seed", 5),
    "subseed": (6, "subseed", 6),
    "subseed_strength": (0.5, "subseed_strength", 0.5),
    "sampler_name": ("Heun", "sampler", "Heun"),
    "sampler_index": ("LMS", "sampler", "LMS"),
    "batch_size": (3, "batch_size", 3),
    "n_iter": (2, "num_images", 2),
    "steps": (7, "num_inference_steps", 7),
    "cfg_scale": (3.5, "guidance_scale", 3.5),
    "width": (128, "width", 128),
    "height": (192, "height", 192),
    "tiling": (True, "tiling", True),
    "s_min_uncond": (2.5, "s_min_uncond", 2.5),
    "s_churn": (1.5, "s_churn", 1.5),
    "s_tmax": (9.5, "s_tmax", 9.5),
    "s_tmin": (0.5, "s_tmin", 0.5),
    "s_noise": (1.05, "s_noise", 1.05),
    "override_settings": ({"CLIP_stop_at_last_layers": 2}, "clip_skip", 2),
}
SECOND_PASS: dict[str, tuple[Any, str, Any]] = {
    "denoising_strength": (0.4, "strength", 0.4),
    "hr_scale": (3, "width", 192),
    "hr_upscaler": ("Lanczos", "upscaler", "Lanczos"),
    "hr_second_pass_steps": (4, "num_inference_steps", 4),
    "hr_resize_x": (256, "width", 256),
    "hr_resize_y": (320, "height", 320),
}
FROM_AN_IMAGE: dict[str, tuple[Any, str, Any]] = {
    "resize_mode": (2, "resize_mode", "fill"),
    "denoising_strength": (0.3, "strength", 0.3),
    "initial_noise_multiplier": (0.5, "initial_noise_multiplier", 0.5),
}
MASKED: dict[str, tuple[Any, str, Any]] = {
    "mask_blur": (9, "blur_x", 9),
    "inpainting_fill": (2, "content", "noise"),
    "inpaint_full_res": (False, "only_masked", False),
    "inpaint_full_res_padding": (24, "padding", 24),
    "inpainting_mask_invert": (1, "invert", True),
}


@pytest.fixture(params=OPERATIONS)
def operation(request) -> str:
    return request.param


@pytest.fixture
def submit(alice, red, operation):
    def submit(**body: Any) -> Job:
        images = {"init_images": [red]} if operation == "img2img" else {}
        return alice.submit(operation, **{**images, "seed": 1, "subseed": 1, **body})

    return submit


@pytest.mark.field(
    "a1111_txt2img", "prompt", "negative_prompt", "seed", "subseed", "subseed_strength", "sampler_name", "sampler_index",
    "batch_size", "n_iter", "steps", "cfg_scale", "width", "height", "tiling", "s_min_uncond", "s_churn", "s_tmax", "s_tmin",
    "s_noise", "override_settings",
)  # fmt: skip
@pytest.mark.field(
    "a1111_img2img", "prompt", "negative_prompt", "seed", "subseed", "subseed_strength", "sampler_name", "sampler_index",
    "batch_size", "n_iter", "steps", "cfg_scale", "width", "height", "tiling", "s_min_uncond", "s_churn", "s_tmax", "s_tmin",
    "s_noise", "override_settings",
)  # fmt: skip
def test_common_field_changes_the_request(submit) -> None:
    plain = submit().generation_request
    for field, (value, name, expected) in COMMON.items():
        assert (
            getattr(submit(**{field: value}).generation_request, name) == expected != getattr(plain, name)
        ), field


@pytest.mark.field("a1111_txt2img", "eta")
@pytest.mark.field("a1111_img2img", "eta")
def test_eta_applies_only_to_samplers_that_use_it(submit) -> None:
    assert submit(sampler_name="DDIM", eta=0.7).generation_request.eta == 0.7
    assert submit(sampler_name="UniPC", eta=0.7).generation_request.eta is None


@pytest.mark.field("a1111_txt2img", "seed_resize_from_h", "seed_resize_from_w")
@pytest.mark.field("a1111_img2img", "seed_resize_from_h", "seed_resize_from_w")
def test_seed_resize_requires_both_sides(submit) -> None:
    request = submit(seed_resize_from_h=96, seed_resize_from_w=80).generation_request
    assert (request.seed_resize_from_width, request.seed_resize_from_height) == (80, 96)
    request = submit(seed_resize_from_h=96, seed_resize_from_w=-1).generation_request
    assert (request.seed_resize_from_width, request.seed_resize_from_height) == (0, 0)


@pytest.mark.field("a1111_txt2img", "styles")
@pytest.mark.field("a1111_img2img", "styles")
def test_styles_extend_the_prompts(submit) -> None:
    PromptStyle.objects.create(name="film", prompt="film still", negative_prompt="cartoon")
    request = submit(prompt="a cat", styles=["film"]).generation_request
    assert (request.prompt, request.negative_prompt) == ("a cat, film still", "cartoon")


@pytest.mark.field("a1111_txt2img", "override_settings_restore_afterwards")
@pytest.mark.field("a1111_img2img", "override_settings_restore_afterwards")
def test_overrides_are_stored_without_restore_afterwards(submit) -> None:
    overrides = {"CLIP_stop_at_last_layers": 2}
    submit(override_settings=overrides, override_settings_restore_afterwards=True)
    assert submit().generation_request.clip_skip == 1
    submit(override_settings=overrides, override_settings_restore_afterwards=False)
    assert submit().generation_request.clip_skip == 2


@pytest.mark.field("a1111_txt2img", "send_images", "save_images")
@pytest.mark.field("a1111_img2img", "send_images", "save_images")
def test_send_images_and_save_images_select_the_returned_images(submit, alice, complete) -> None:
    counts = []
    for more in ({}, {"send_images": False}, {"save_images": True}):
        job = submit(batch_size=2, **more)
        complete(job)
        counts.append(len(alice.result(job)["images"]))
    assert counts == [2, 0, 3]


@pytest.mark.field("a1111_txt2img", "do_not_save_samples", "do_not_save_grid")
@pytest.mark.field("a1111_img2img", "do_not_save_samples", "do_not_save_grid")
def test_do_not_save_fields_have_no_effect(submit, alice, complete) -> None:
    job = submit(batch_size=2, save_images=True, do_not_save_samples=True, do_not_save_grid=True)
    complete(job)
    assert len(alice.result(job)["images"]) == 3


@pytest.mark.field("a1111_txt2img", "alwayson_scripts")
@pytest.mark.field("a1111_img2img", "alwayson_scripts")
def test_controlnet_unit_is_an_alwayson_script(submit, red) -> None:
    unit = {"image": red, "module": "reference_only"}
    request = submit(alwayson_scripts={"ControlNet": {"args": [unit]}}).generation_request
    assert [unit.module for unit in request.controls] == ["reference_only"]


@pytest.mark.field("a1111_txt2img", "script_name", "script_args")
@pytest.mark.field("a1111_img2img", "script_name", "script_args")
def test_unknown_script_is_rejected_by_name(alice, red, operation) -> None:
    images = {"init_images": [red]}
    script = alice.post(
        operation, {**images, "script_name": "No such script", "script_args": [None, 64, "Lanczos", 2]}
    )
    assert (script.status_code, script.json()["detail"]) == (422, "Script 'No such script' not found")
    assert alice.post(operation, {**images, "script_args": {}}).json()["detail"][0]["loc"] == [
        "body",
        "script_args",
    ]


@pytest.mark.field(
    "a1111_txt2img", "enable_hr", "denoising_strength", "hr_scale", "hr_upscaler", "hr_second_pass_steps"
)
@pytest.mark.field("a1111_txt2img", "hr_resize_x", "hr_resize_y")
def test_hires_field_changes_the_hires_pass(alice) -> None:
    second = {"enable_hr": True, "denoising_strength": 0.7}
    plain = alice.submit(**second).generation_request.hires
    assert alice.submit(**second | {"enable_hr": False}).generation_request.hires is None
    for field, (value, name, expected) in SECOND_PASS.items():
        hires = alice.submit(**second | {field: value}).generation_request.hires
        assert getattr(hires, name) == expected != getattr(plain, name), field


@pytest.mark.field("a1111_txt2img", "firstphase_width", "firstphase_height")
def test_firstphase_size_replaces_the_size(alice) -> None:
    request = alice.submit(firstphase_width=128, firstphase_height=72).generation_request
    assert (request.width, request.height) == (128, 72)


@pytest.mark.field("a1111_img2img", "resize_mode", "denoising_strength", "initial_noise_multiplier")
def test_img2img_field_changes_the_request(alice, red) -> None:
    plain = alice.submit("img2img", init_images=[red]).generation_request
    for field, (value, name, expected) in FROM_AN_IMAGE.items():
        request = alice.submit("img2img", init_images=[red], **{field: value}).generation_request
        assert getattr(request, name) == expected != getattr(plain, name), field


@pytest.mark.field(
    "a1111_img2img", "mask", "mask_blur", "inpainting_fill", "inpaint_full_res", "inpaint_full_res_padding"
)
@pytest.mark.field("a1111_img2img", "inpainting_mask_invert")
def test_inpainting_field_changes_the_inpainting(alice, red) -> None:
    assert alice.submit("img2img", init_images=[red]).generation_request.inpaint is None
    plain = alice.submit("img2img", init_images=[red], mask=red).generation_request.inpaint
    for field, (value, name, expected) in MASKED.items():
        inpaint = alice.submit(
            "img2img", init_images=[red], mask=red, **{field: value}
        ).generation_request.inpaint
        assert getattr(inpaint, name) == expected != getattr(plain, name), field


@pytest.mark.field("a1111_img2img", "image_cfg_scale")
def test_image_cfg_scale_has_no_effect_on_other_checkpoints(alice, red) -> None:
    """As in the original with all models but InstructPix2Pix. The most used client always sends the field."""
    same = {"init_images": [red], "seed": 1, "subseed": 1}
    first, second = (alice.submit("img2img", **same, **more) for more in ({}, {"image_cfg_scale": 1.5}))
    assert first.generation_request == second.generation_request


@pytest.mark.field("a1111_img2img", "image_cfg_scale")
def test_image_cfg_scale_guides_instruct_checkpoints_by_the_init_image(alice, red, checkpoint) -> None:
    ModelFile.objects.filter(pk=checkpoint.pk).update(instruct=True)
    request = alice.submit("img2img", init_images=[red], image_cfg_scale=1.25).generation_request
    assert request.image_guidance_scale == 1.25
    response = alice.post("img2img", {"init_images": [red], "image_cfg_scale": 101})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "image_cfg_scale"]


@pytest.mark.field("a1111_img2img", "init_images", "include_init_images")
def test_init_images_are_echoed_only_on_request(alice, red, complete) -> None:
    for wanted in (False, True):
        job = alice.submit("img2img", init_images=[red], include_init_images=wanted)
        assert len(job.generation_request.init_images) == 1
        complete(job)
        assert alice.result(job)["parameters"]["init_images"] == ([red] if wanted else None)


def test_path_on_the_server_is_rejected(alice) -> None:
    response = alice.post("img2img", {"init_images": ["/etc/passwd"]})
    assert (response.status_code, response.json()["detail"]) == (500, "Invalid encoded image")
