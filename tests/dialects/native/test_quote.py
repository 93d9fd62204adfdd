"""Quotes: price, estimated time, refusals, quotas."""

from decimal import Decimal

import pytest

from access.models import AccessKey, Posting
from jobs.models import InputPicture, Job


def test_quoted_price_is_the_jobs_cost(alice, runner):
    request = {"width": 512, "height": 512, "num_inference_steps": 20}
    quoted = alice.post("quote", request).json()
    assert (quoted["accepted"], quoted["refusals"]) == (True, [])
    assert quoted["queue"] == {"reason": "next", "ahead": 0, "starts_in_s": 0.0}
    assert not Job.objects.exists()
    assert not Posting.objects.exists()
    assert quoted["cost"] == alice.job(alice.submit(**request))["cost"]


def test_estimate_grows_with_the_queue(alice, runner):
    runner.slots = 0
    runner.save()
    estimates = []
    for _ in range(3):
        estimates.append(alice.post("quote", {}).json()["queue"])
        alice.submit(width=512, height=512)
    assert [estimate["ahead"] for estimate in estimates] == [0, 1, 2]
    assert estimates[0]["starts_in_s"] < estimates[1]["starts_in_s"] < estimates[2]["starts_in_s"]


def test_quote_without_a_runner_has_no_estimate(alice):
    quoted = alice.post("quote", {}).json()
    assert quoted["queue"] == {"reason": "no_runner", "ahead": 0, "starts_in_s": None}
    assert quoted["ends_in_s"] is None


def test_quote_lists_every_refusal(alice, source, data_uri):
    source.max_queued_jobs = 0
    source.save()
    request = {
        "width": 4096,
        "num_images": 17,
        "sampler": "Nothing",
        "checkpoint": "nowhere",
        "loras": [{"name": "none"}],
        "task": "img2img",
        "init_images": ["data:image/png;base64,AAAA"],
    }
    quoted = alice.post("quote", request).json()
    refusals = {(refusal["code"], refusal["field"]) for refusal in quoted["refusals"]}
    assert refusals == {
        ("over_limit", "width"),
        ("over_limit", "num_images"),
        ("unsupported", "sampler"),
        ("unknown_model", "checkpoint"),
        ("unknown_model", "lora"),
        ("bad_picture", "init_images.0"),
        ("queue_full", None),
    }
    assert (quoted["accepted"], quoted["cost"]) == (False, None)


def test_quote_has_the_quotas_and_refuses_as_admission_does(alice, source, runner):
    source.images_per_day, source.total_budget = 3, Decimal("0.2")
    source.save()
    AccessKey.objects.update(images_per_month=9)
    alice.submit(num_images=2, num_inference_steps=10)
    quoted = alice.post(
        "quote", {"num_images": 2, "width": 64, "height": 64, "num_inference_steps": 40}
    ).json()
    allowances = {(row["of"], row["limit"]): (row["most"], row["left"]) for row in quoted["allowances"]}
    assert allowances == {
        ("source", "images_per_day"): (3, 1),
        ("source", "total_budget"): (0.2, pytest.approx(0.11808)),
        ("key", "images_per_month"): (9, 7),
    }
    assert [row["code"] for row in quoted["refusals"]] == ["quota_exhausted", "budget_exhausted"]
    renewing = [row["renews_at"] is not None for row in quoted["allowances"]]
    assert renewing == [True, False, True]
    assert alice.post("jobs", {"num_images": 2, "width": 64, "height": 64}).status_code == 429


def test_quote_applies_the_limits_of_the_key(alice, runner):
    AccessKey.objects.update(max_steps=10, allowed_models=["checkpoint:another"])
    quoted = alice.post("quote", {"num_inference_steps": 20}).json()
    refusals = [(row["code"], row["field"]) for row in quoted["refusals"]]
    assert refusals == [("over_limit", "num_inference_steps"), ("model_not_allowed", "checkpoint")]


def test_quote_stores_no_image(alice, data_uri):
    quoted = alice.post("quote", {"task": "img2img", "init_images": [data_uri]}).json()
    assert quoted["accepted"] is True
    assert not InputPicture.objects.exists()
