"""The requests of Open WebUI: it reads the options, posts them back with one change, and generates an image."""

import json

import pytest

from tests.support.judge import judge

pytestmark = [pytest.mark.demo, pytest.mark.django_db(transaction=True)]


def test_client_reads_options_and_sets_the_checkpoint(http, demo_models) -> None:
    options = http.get("/sdapi/v1/options").json()
    assert options["sd_model_checkpoint"] == demo_models.title
    listed = [(model["title"], model["model_name"]) for model in http.get("/sdapi/v1/sd-models").json()]
    assert listed == [(demo_models.title, "atelier-shapes")]
    options["sd_model_checkpoint"] = "atelier-shapes"
    written = http.post("/sdapi/v1/options", json=options)
    assert (written.status_code, written.json()) == (200, None)
    assert http.get("/sdapi/v1/options").json()["sd_model_checkpoint"] == demo_models.title


def test_client_generates_an_image(http, first_image) -> None:
    body = {
        "prompt": "a yellow square on a purple background",
        "batch_size": 1,
        "width": 128,
        "height": 128,
        "steps": 12,
        "negative_prompt": "red",
        "seed": 3,  # an additional parameter configured by the user
    }
    response = http.post("/sdapi/v1/txt2img", json=body).json()
    assert json.loads(response["info"])["all_prompts"] == [body["prompt"]]
    verdict = judge(first_image(response))
    assert (verdict.color, verdict.shape, verdict.background) == ("yellow", "square", "purple")
