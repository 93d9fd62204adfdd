"""The requests of SillyTavern: ping, lists, checkpoint, progress, an image, interrupt."""

import threading

import pytest

from tests.support.judge import judge

pytestmark = [pytest.mark.demo, pytest.mark.django_db(transaction=True)]

REQUEST = {
    "prompt": "a green triangle on a white background",
    "negative_prompt": "red",
    "sampler_name": "Euler",
    "scheduler": "karras",
    "steps": 12,
    "cfg_scale": 7,
    "width": 128,
    "height": 128,
    "restore_faces": False,
    "enable_hr": False,
    "hr_upscaler": "Latent",
    "hr_scale": 2,
    "hr_additional_modules": [],
    "denoising_strength": 0.7,
    "hr_second_pass_steps": 0,
    "seed": 5,
    "override_settings": {"CLIP_stop_at_last_layers": 1, "sd_vae": "Automatic"},
    "override_settings_restore_afterwards": True,
    "clip_skip": 1,
    "save_images": True,
    "send_images": True,
    "do_not_save_grid": False,
    "do_not_save_samples": False,
}


def test_client_reads_its_lists(http) -> None:
    assert http.get("/sdapi/v1/options").status_code == 200
    assert "forge_preset" not in http.get("/sdapi/v1/options").json()
    names = [upscaler["name"] for upscaler in http.get("/sdapi/v1/upscalers").json()]
    names[1:1] = [mode["name"] for mode in http.get("/sdapi/v1/latent-upscale-modes").json()]
    assert names[:2] == ["None", "Latent"]
    assert http.get("/sdapi/v1/sd-vae").json() == []
    assert http.get("/sdapi/v1/sd-modules").status_code == 404
    assert "Euler a" in [sampler["name"] for sampler in http.get("/sdapi/v1/samplers").json()]
    assert "karras" in [scheduler["name"] for scheduler in http.get("/sdapi/v1/schedulers").json()]
    assert [model["title"] for model in http.get("/sdapi/v1/sd-models").json()]


def test_client_sets_a_checkpoint_and_polls_until_idle(http) -> None:
    title = http.get("/sdapi/v1/sd-models").json()[0]["title"]
    assert http.post("/sdapi/v1/options", json={"sd_model_checkpoint": title}).status_code == 200
    progress = http.get("/sdapi/v1/progress").json()
    assert (progress["progress"], progress["state"]["job_count"]) == (0.0, 0)


def test_client_generates_an_image(http, first_image) -> None:
    body = http.post("/sdapi/v1/txt2img", json=REQUEST).json()
    verdict = judge(first_image(body))
    assert (verdict.color, verdict.shape, verdict.background) == ("green", "triangle", "white")


def test_interrupt_returns_the_current_image(http) -> None:
    responses = []
    client = threading.Thread(
        target=lambda: responses.append(
            http.post("/sdapi/v1/txt2img", json=REQUEST | {"steps": 150, "width": 256, "height": 256})
        )
    )
    client.start()
    while http.get("/sdapi/v1/progress").json()["state"]["job_count"] < 1:
        client.join(0.05)
    assert http.post("/sdapi/v1/interrupt", json={}).json() == {}
    client.join()
    assert responses[0].status_code == 200
    assert len(responses[0].json()["images"]) == 1
