"""The requests of Open WebUI in their order: read options, change one, write all back, generate an image."""

import json

import pytest

from tests.support.judge import judge

pytestmark = [pytest.mark.demo, pytest.mark.django_db(transaction=True)]


def test_it_reads_options_lists_models_and_sets_the_model(http, demo_models) -> None:
    options = http.get("/sdapi/v1/options").json()
    assert options["sd_model_checkpoint"] == demo_models.title
    listed = [(model["title"], model["model_name"]) for model in http.get("/sdapi/v1/sd-models").json()]
    assert listed == [(demo_models.title, "atelier-shapes")]
    options["sd_model_checkpoint"] = "atelier-shapes"
    written = http.post("/sdapi/v1/options", json=options)
    assert (written.status_code, written.json()) == (200, None)
    assert http.get("/sdapi/v1/options").json()["sd_model_checkpoint"] == demo_models.title


def test_it_generates_an_image(http, image_of) -> None:
    body = {
        "prompt": "a yellow square on a purple background",
        "batch_size": 1,
        "width": 128,
        "height": 128,
        "steps": 12,
        "negative_prompt": "red",
        "seed": 3,  # from the user's additional parameters
    }
    response_body = http.post("/sdapi/v1/txt2img", json=body).json()
    assert json.loads(response_body["info"])["all_prompts"] == [body["prompt"]]
    verdict = judge(image_of(response_body))
    assert (verdict.colour, verdict.shape, verdict.background) == ("yellow", "square", "purple")
