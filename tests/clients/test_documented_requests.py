"""The txt2img and img2img requests that existing clients send, with all documented fields."""

import base64

import pytest

from tests.support.judge import judge

pytestmark = [pytest.mark.demo, pytest.mark.django_db(transaction=True)]

COMMON = {
    "prompt": "a red circle on a blue background", "styles": [], "seed": 8, "subseed": -1, "subseed_strength": 0,
    "seed_resize_from_h": -1, "seed_resize_from_w": -1, "sampler_name": "Euler", "batch_size": 1, "n_iter": 1, "steps": 20,
    "cfg_scale": 7, "width": 256, "height": 256, "restore_faces": False, "tiling": False, "do_not_save_samples": False,
    "do_not_save_grid": False, "negative_prompt": "", "eta": 0, "s_min_uncond": 0, "s_churn": 0, "s_tmax": 0,
    "s_tmin": 0, "s_noise": 1, "override_settings": {}, "override_settings_restore_afterwards": True, "script_args": [],
    "sampler_index": "Euler", "script_name": None, "send_images": True, "save_images": False, "alwayson_scripts": {},
}  # fmt: skip
TXT2IMG = {
    "enable_hr": False, "denoising_strength": 0, "firstphase_width": 0, "firstphase_height": 0, "hr_scale": 2,
    "hr_upscaler": "string", "hr_second_pass_steps": 0, "hr_resize_x": 0, "hr_resize_y": 0,
}  # fmt: skip
IMG2IMG = {
    "resize_mode": 0, "denoising_strength": 0.75, "image_cfg_scale": 0, "mask": None, "mask_blur": 4, "inpainting_fill": 0,
    "inpaint_full_res": True, "inpaint_full_res_padding": 0, "inpainting_mask_invert": 0, "initial_noise_multiplier": 1,
    "include_init_images": False,
}  # fmt: skip


def test_documented_txt2img_and_img2img_requests(http, first_image) -> None:
    generated = http.post("/sdapi/v1/txt2img", json=COMMON | TXT2IMG).json()
    verdict = judge(first_image(generated))
    assert (verdict.color, verdict.shape, verdict.background) == ("red", "circle", "blue")
    init = "data:image/png;base64," + generated["images"][0]
    assert base64.b64decode(generated["images"][0])[:4] == b"\x89PNG"
    changed = http.post(
        "/sdapi/v1/img2img", json=COMMON | IMG2IMG | {"init_images": [init], "seed": 9}
    ).json()
    verdict = judge(first_image(changed))
    assert (verdict.color, verdict.background) == ("red", "blue")
    assert changed["images"] != generated["images"]
