"""curl export of jobs in the native API."""

import json
from typing import Any

import pytest

from jobs.models import Job
from tests.support.job_curl import commands

pytestmark = pytest.mark.slow


def body(job: Job) -> dict[str, Any]:
    (curl,) = commands(job, "http://here")
    head, text = curl.command.split("<<END\n")
    assert curl.path == "/api/v1/jobs"
    assert '"Authorization: Bearer $KEY_ID:$SECRET"' in head
    sent: dict[str, Any] = json.loads(text.strip().removesuffix("\nEND"))
    return sent


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "a red circle", "seed": 7},
        {"prompt": "a red circle", "num_images": 3, "clip_skip": 2, "output_format": "webp"},
        {"prompt": "a", "hires": {"width": 128, "height": 128, "strength": 0.4}, "subseed_strength": 0.5},
        {"prompt": "a", "labels": [{"text": "AI 生成"}], "schedule_bend": {"rho": 5}},
    ],
)
def test_exported_command_submits_an_equal_request(alice, fields):
    job = alice.submit(**fields)
    again = alice.post("jobs", body(job))
    assert Job.objects.get(pk=again.json()["id"]).request == job.request


def test_exported_command_repeats_the_drawn_words(alice, text_model):
    job = alice.submit(prompt="一只猫", prompt_mode="translate")
    sent = body(job)
    assert (sent["prompt"], sent["prompt_mode"]) == ("a cat", "as_is")


@pytest.mark.parametrize(
    ("tag", "loras", "sent"),
    [("<lora:ink:0.5>", [{"name": "ink"}], "a <lora:ink:0.5>"), ("<lora:ink:0.5>", [], "a ")],
)
def test_tags_that_had_no_effect_are_not_sent(alice, tag, loras, sent):
    job = alice.submit()
    job.request |= {"prompt": f"a {tag}", "loras": loras}
    job.save()
    assert body(job)["prompt"] == sent
