"""``prompt_mode``: what the text model does with the prompts of a job."""

import pytest

from jobs.models import Job
from tests.support.text_model_server import DETAILS

BODY = {"prompt": "一只猫, (蓝色:1.2)", "width": 64, "height": 64}


def test_prompts_are_translated_and_the_written_ones_returned(alice, text_model):
    response = alice.post("jobs", BODY | {"prompt_mode": "translate"})
    assert response.status_code == 201
    job = response.json()
    assert job["request"]["prompt"] == "a cat, (blue:1.2)"
    assert job["rewriting"] == {"mode": "translate", "written": {"prompt": BODY["prompt"]}}
    assert job["warnings"] == []
    detail = alice.get(f"jobs/{job['id']}").json()
    assert (detail["rewriting"], detail["request"]) == (job["rewriting"], job["request"])


def test_prompt_is_expanded(alice, text_model):
    job = alice.post("jobs", {"prompt": "a cat", "prompt_mode": "expand"}).json()
    assert job["request"]["prompt"] == f"a cat, {DETAILS}"


def test_as_is_overrides_the_setting_of_the_source(alice, text_model):
    alice.key.source.prompt_mode = "expand"
    alice.key.source.save()
    assert alice.post("jobs", BODY | {"prompt_mode": "as_is"}).json()["rewriting"] is None
    assert alice.post("jobs", BODY).json()["rewriting"]["mode"] == "expand"
    assert alice.post("jobs", BODY | {"prompt_mode": None}).json()["rewriting"]["mode"] == "expand"


@pytest.mark.parametrize("mode", ["", "shout", 1, ["expand"], {"mode": "expand"}, True])
def test_other_values_are_refused(alice, text_model, mode):
    response = alice.post("jobs", BODY | {"prompt_mode": mode})
    assert (response.status_code, response.json()["field"]) == (422, "prompt_mode")


def test_without_a_text_model_it_is_refused_by_name(alice):
    response = alice.post("jobs", BODY | {"prompt_mode": "translate"})
    assert (response.status_code, response.json()["code"]) == (422, "unsupported")
    assert "TEXT_MODEL_URL" in response.json()["detail"]
    quoted = alice.post("quote", BODY | {"prompt_mode": "translate"}).json()
    assert "TEXT_MODEL_URL" in quoted["refusals"][0]["detail"]


def test_failure_of_the_text_model_can_be_retried(alice, text_model):
    text_model.misbehavior = "500"
    response = alice.post("jobs", BODY | {"prompt_mode": "translate"})
    assert (response.status_code, response.json()["code"]) == (503, "text_model_failed")
    assert response.json()["retry_after"] == int(response["Retry-After"])
    assert not Job.objects.exists()


def test_repeated_idempotency_key_calls_the_model_once(alice, text_model):
    headers = {"Idempotency-Key": "once"}
    first = alice.post("jobs", BODY | {"prompt_mode": "translate"}, **headers)
    text_model.misbehavior = "500"
    again = alice.post("jobs", BODY | {"prompt_mode": "translate"}, **headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["request"] == first.json()["request"]
    assert len(text_model.requests) == 1


def test_infotext_has_the_drawn_words(alice, text_model, work):
    job = alice.submit(prompt="一只猫", prompt_mode="translate")
    work()
    (output,) = alice.job(job)["outputs"]
    assert output["infotext"].startswith("a cat\n")
