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
    for body in (
        {"script_name": "bogus"},
        {"alwayson_scripts": {"bogus": {}}},
        {"alwayson_scripts": {"bogus": {"args": [True]}}},
    ):
        response = alice.post("txt2img", body)
        assert response.status_code == 422
        assert response.json()["detail"] == "Script 'bogus' not found"


SELECTABLE = [
    "X/Y/Z plot", "Prompt matrix", "Prompts from file or textbox", "Loopback", "Outpainting mk2", "Custom code",
    "Poor man's outpainting", "img2img alternative test", "ControlNet M2M",
]  # fmt: skip


@pytest.mark.parametrize("name", SELECTABLE)
def test_selectable_scripts_of_the_original_are_refused_by_name(alice, name) -> None:
    response = alice.post("txt2img", {"script_name": name, "script_args": []})
    (entry,) = response.json()["detail"]
    assert (response.status_code, entry["loc"]) == (422, ["body", "script_name"])
    assert (entry["msg"], entry["type"]) == (f"the script {name} is not supported", "value_error.unsupported")


def test_selectable_scripts_are_not_always_on(alice) -> None:
    for name in SELECTABLE:
        response = alice.post("txt2img", {"alwayson_scripts": {name: {"args": []}}})
        detail = "Cannot have a selectable script in the always on scripts params"
        assert (response.status_code, response.json()["detail"]) == (422, detail)


@pytest.mark.parametrize(
    "scripts",
    [
        {"ControlNet": {"args": []}, "ADetailer": {"args": [False]}, "animatediff": {"args": [False]}},
        {"controlnet": {"args": [{"enabled": False, "module": "canny"}]}},
        {"Refiner": {"args": [False, "", 0.8]}, "Sampler": {"args": [6, "Euler", "Automatic"]}},
        {"Seed": {"args": [8, False, -1, 0, 0, 0]}, "Comments": {"args": []}, "Extra options": {"args": []}},
        {"Hypertile": {"args": []}, "Soft Inpainting": {"args": [False, 1, 0.5, 4, 0, 0.5, 2]}},
        {"soft inpainting": {"args": [True, 1, 0.5, 4, 0, 0.5, 2]}},  # without a mask
        {"ADetailer": {"args": [False, False, {"ad_model": "face_yolov8n.pt"}]}},
        {"ADetailer": {"args": [True, False, {"ad_model": "None"}, {"ad_model": "None", "ad_prompt": "x"}]}},
        {"ADetailer": {"args": [{"ad_model": "None"}]}},
        {"ADetailer": {"args": [True, False, {"ad_model": "face_yolov8n.pt", "ad_tab_enable": False}]}},
        {"AnimateDiff": {"args": [{"enable": False, "model": "mm"}]}},
        {"comments": [], "Sampler": None, "seed": {}, "API payload": {"args": []}},
    ],
)
def test_scripts_without_effect_are_accepted(alice, scripts) -> None:
    assert alice.submit(alwayson_scripts=scripts).received["warnings"] == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("AnimateDiff", [True]),
        ("AnimateDiff", [{"enable": True}]),
        ("Soft Inpainting", [True, 1, 0.5, 4, 0, 0.5, 2]),
    ],
)
def test_scripts_with_an_effect_are_refused_by_name(alice, red, name, arguments) -> None:
    body = {"init_images": [red], "mask": red, "alwayson_scripts": {name: {"args": arguments}}}
    response = alice.post("img2img", body)
    (entry,) = response.json()["detail"]
    assert (response.status_code, entry["loc"]) == (422, ["body", "alwayson_scripts", name])
    assert entry["msg"] == f"the script {name} is not supported"


@pytest.mark.parametrize(
    ("scripts", "warning"),
    [
        ({"Refiner": {"args": [True, "xl", 0.8]}}, "the script Refiner has no effect in the API"),
        ({"Extra options": {"args": [2]}}, "the arguments of Extra options have no effect"),
        ({"Tiled Diffusion": {"args": [False, "MultiDiffusion"]}}, "the script Tiled Diffusion is unknown"),
    ],
)
def test_ignored_scripts_are_reported_and_refused_for_strict_sources(alice, source, scripts, warning) -> None:
    (message,) = alice.submit(alwayson_scripts=scripts).received["warnings"]
    assert message.startswith(warning)
    source.strict = True
    source.save()
    response = alice.post("txt2img", {"alwayson_scripts": scripts})
    (entry,) = response.json()["detail"]
    assert entry["msg"] == message
    assert entry["loc"] == ["body", "alwayson_scripts", next(iter(scripts))]


def test_sides_are_rounded_down_with_a_warning(alice) -> None:
    job = alice.submit(width=130, height=48)
    assert (job.generation_request.width, job.generation_request.height) == (128, 48)
    assert job.received["warnings"] == ["width 130 is no multiple of 8; 128 is used, as in the original"]
    assert alice.post("txt2img", {"width": 47}).json()["detail"][0]["ctx"] == {"limit_value": 48}
