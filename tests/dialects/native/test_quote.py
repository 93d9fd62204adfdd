from access.models import Posting
from jobs.models import InputPicture, Job


def test_a_quote_is_what_the_job_costs(alice, runner):
    asked = {"width": 512, "height": 512, "num_inference_steps": 20}
    quoted = alice.post("quote", asked).json()
    assert (quoted["accepted"], quoted["refusals"]) == (True, [])
    assert quoted["queue"] == {"reason": "next", "ahead": 0, "starts_in_s": 0.0}
    assert not Job.objects.exists()
    assert not Posting.objects.exists()
    assert quoted["cost"] == alice.job(alice.submit(**asked))["cost"]


def test_a_longer_queue_means_a_longer_wait(alice, runner):
    runner.slots = 0
    runner.save()
    waits = []
    for _ in range(3):
        waits.append(alice.post("quote", {}).json()["queue"])
        alice.submit(width=512, height=512)
    assert [wait["ahead"] for wait in waits] == [0, 1, 2]
    assert waits[0]["starts_in_s"] < waits[1]["starts_in_s"] < waits[2]["starts_in_s"]


def test_without_a_runner_nobody_can_tell(alice):
    quoted = alice.post("quote", {}).json()
    assert quoted["queue"] == {"reason": "no_runner", "ahead": 0, "starts_in_s": None}
    assert quoted["ends_in_s"] is None


def test_everything_that_speaks_against_it_is_listed(alice, source, data_uri):
    source.max_queued_jobs = 0
    source.save()
    asked = {
        "width": 4096,
        "num_images": 17,
        "sampler": "Nothing",
        "checkpoint": "nowhere",
        "loras": [{"name": "none"}],
        "task": "img2img",
        "init_images": ["data:image/png;base64,AAAA"],
    }
    quoted = alice.post("quote", asked).json()
    told = {(refusal["code"], refusal["field"]) for refusal in quoted["refusals"]}
    assert told == {
        ("over_limit", "width"),
        ("over_limit", "num_images"),
        ("unsupported", "sampler"),
        ("unknown_model", "checkpoint"),
        ("unknown_model", "lora"),
        ("bad_picture", "init_images"),
        ("queue_full", None),
    }
    assert (quoted["accepted"], quoted["cost"]) == (False, None)


def test_a_quote_stores_no_picture(alice, data_uri):
    quoted = alice.post("quote", {"task": "img2img", "init_images": [data_uri]}).json()
    assert quoted["accepted"] is True
    assert not InputPicture.objects.exists()
