"""Unsupported fields are rejected unless their value has no effect."""

import pytest


def test_latent_mask_is_rejected(alice, red) -> None:
    response = alice.post("img2img", {"init_images": [red], "latent_mask": red})
    assert response.status_code == 422
    entry = response.json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", "latent_mask"], "value_error.unsupported")
    assert entry["msg"].startswith("not supported")


def test_unsupported_fields_without_effect_are_accepted(alice) -> None:
    alice.submit(
        s_noise=1, s_churn=0, s_tmax=0, seed_resize_from_h=0, seed_resize_from_w=0, denoising_strength=0.7,
        hr_upscaler="Latent", hr_scale=2, styles=[], refiner_checkpoint="None", refiner_switch_at=0.8, tiling=False,
        script_name=None, script_args=[], alwayson_scripts=[], do_not_save_samples=True, override_settings={},
    )  # fmt: skip


def test_unknown_script_is_not_found(alice) -> None:
    for body in ({"script_name": "loopback"}, {"alwayson_scripts": {"loopback": {}}}):
        response = alice.post("txt2img", body)
        assert response.status_code == 422
        assert response.json()["detail"] == "Script 'loopback' not found"


@pytest.mark.parametrize(
    "scripts",
    [
        {"ControlNet": {"args": []}, "ADetailer": {"args": [False]}, "animatediff": {"args": [False]}},
        {"controlnet": {"args": [{"enabled": False, "module": "canny"}]}},
        {"Refiner": {"args": [True, "xl", 0.8]}},
    ],
)
def test_scripts_without_effect_are_accepted(alice, scripts) -> None:
    alice.submit(alwayson_scripts=scripts)
