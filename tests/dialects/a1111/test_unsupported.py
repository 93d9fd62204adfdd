"""A field that would change the picture is never ignored in silence."""

import pytest


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("enable_hr", True),
        ("styles", ["anime"]),
        ("subseed_strength", 0.5),
        ("seed_resize_from_w", 512),
        ("restore_faces", True),
        ("tiling", True),
        ("s_churn", 1),
        ("s_noise", 1.1),
        ("sampler_name", "DPM++ SDE Karras"),
        ("sampler_index", "LCM"),
        ("refiner_checkpoint", "xl"),
        ("infotext", "Steps: 20"),
    ],
)
def test_a_field_without_its_feature_is_422(alice, field, value) -> None:
    response = alice.post("txt2img", {field: value})
    assert response.status_code == 422
    entry = response.json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", field], "value_error.unsupported")
    assert entry["msg"].startswith("not supported yet")


@pytest.mark.parametrize("field", ["mask", "latent_mask"])
def test_masks_are_422(alice, red, field) -> None:
    response = alice.post("img2img", {"init_images": [red], field: red})
    assert response.json()["detail"][0]["loc"] == ["body", field]


def test_what_clients_always_send_is_accepted(alice) -> None:
    alice.submit(
        s_noise=1, s_churn=0, s_tmax=0, seed_resize_from_h=0, seed_resize_from_w=0, denoising_strength=0.7,
        hr_upscaler="Latent", hr_scale=2, styles=[], refiner_checkpoint="None", refiner_switch_at=0.8, tiling=False,
        script_name=None, script_args=[], alwayson_scripts=[], do_not_save_samples=True, override_settings={},
    )  # fmt: skip


def test_an_unknown_script_is_not_found(alice) -> None:
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
def test_scripts_that_do_nothing_are_accepted(alice, scripts) -> None:
    alice.submit(alwayson_scripts=scripts)


def test_a_controlnet_unit_is_422(alice) -> None:
    response = alice.post("txt2img", {"alwayson_scripts": {"ControlNet": {"args": [{"module": "canny"}]}}})
    assert response.json()["detail"][0]["loc"] == ["body", "alwayson_scripts", "ControlNet"]
