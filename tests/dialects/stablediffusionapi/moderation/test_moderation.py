"""check_nsfw_cp, delete_image and nsfw_image_check."""

import pytest
from django.core.files.storage import default_storage

from gpu_runner.protocol.request_parts.analysis import Analysis
from jobs.models import InputPicture, Job, Output
from jobs.models.archive import JobInput
from models_registry.models import Kind

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def with_words(source, nsfw=(), cp=()):
    source.nsfw_words, source.cp_words = list(nsfw), list(cp)
    source.full_clean()
    source.save()


@pytest.mark.parametrize(
    ("prompt", "verdict", "filtered"),
    [
        ("a red circle", (False, False), "a red circle"),
        ("a Nude man, oil", (True, False), "a man, oil"),
        ("a denuded hill", (False, False), "a denuded hill"),
        ("nude  art, a hill", (True, False), "a hill"),
        ("ｎｕｄｅ man", (True, False), "man"),
        ("一张裸体照片", (True, False), "一张照片"),
        ("一张nude照片", (True, False), "一张照片"),
        ("naked child, nude", (True, True), ""),
    ],
)
def test_prompt_is_checked_by_the_sources_words(alice, source, prompt, verdict, filtered):
    with_words(source, nsfw=["nude", "nude art", "裸体"], cp=["naked child"])
    body = alice.call("v3/check_nsfw_cp", prompt=prompt)
    assert (body["is_nsfw"], body["is_cp"]) == verdict
    assert (body["original_prompt"], body["filtered_prompt"]) == (prompt, filtered)


def test_prompt_check_without_a_word_list_is_refused(alice):
    body = alice.call("v3/check_nsfw_cp", prompt="x")
    assert body["status"] == "error"
    assert "word list" in body["message"]


def test_words_of_another_source_do_not_count(alice, source, other_source):
    with_words(other_source, nsfw=["circle"])
    with_words(source, nsfw=["square"])
    assert alice.call("v3/check_nsfw_cp", prompt="a circle")["is_nsfw"] is False


@pytest.mark.parametrize("words", ["nude", [7], [""], ["x" * 101], ["x"] * 2001])
def test_malformed_word_list_is_invalid(source, words):
    from django.core.exceptions import ValidationError

    source.nsfw_words = words
    with pytest.raises(ValidationError, match="at most 2000 words"):
        source.full_clean()


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("v3/check_nsfw_cp", {}, "prompt"),
        ("v3/check_nsfw_cp", {"prompt": ["a"]}, "prompt"),
        ("v3/check_nsfw_cp", {"prompt": "x" * 20_001}, "prompt"),
        ("v3/delete_image", {}, "request_id"),
        ("v3/delete_image", {"request_id": "seven"}, "request_id"),
        ("v3/delete_image", {"request_id": 7, "type": "song"}, "type"),
        ("v3/nsfw_image_check", {}, "init_image"),
        ("v3/nsfw_image_check", {"init_image": "x", "threshold": 2}, "threshold"),
    ],
)
def test_bad_fields_are_named(alice, path, body, field):
    assert list(alice.call(path, **body)["message"]) == [field]


def test_delete_image_deletes_outputs_and_inputs_of_the_request(alice, red, work):
    response, job = alice.generate("v3/img2img", init_image=red)
    work()
    names = [output.file.name for output in Output.objects.filter(job=job)]
    assert names
    body = alice.call("v3/delete_image", request_id=response["id"])
    assert (body["status"], body["message"]) == ("success", "image deleted")
    assert not Output.objects.filter(job=job).exists()
    assert not any(default_storage.exists(name) for name in names)
    assert not JobInput.objects.filter(job=job).exists()
    assert alice.call(f"v3/fetch/{response['id']}")["output"] == []


def test_inputs_that_another_request_needs_are_kept(alice, red, work):
    first, _job = alice.generate("v3/img2img", init_image=red)
    alice.generate("v3/img2img", init_image=red)
    work()
    alice.call("v3/delete_image", request_id=first["id"])
    assert InputPicture.objects.count() == 1
    assert JobInput.objects.count() == 1


def test_request_with_one_output_can_be_fetched_after_its_deletion(alice, red, work):
    response = alice.call("v3/super_resolution", url=red)
    work()
    alice.call("v3/delete_image", request_id=response["id"])
    assert alice.call(f"v3/fetch/{response['id']}")["output"] == ""


def test_running_request_is_not_deleted(alice):
    response, _job = alice.generate()
    body = alice.call("v3/delete_image", request_id=response["id"])
    assert body["message"] == "The request is still processing."


def test_requests_of_other_sources_and_videos_do_not_exist(alice, caller, other_source, work):
    from access.models import AccessKey

    response, job = alice.generate()
    work()
    stranger = caller(*AccessKey.issue(other_source))
    assert stranger.call("v3/delete_image", request_id=response["id"])["message"] == "Request not found"
    videos = alice.call("v3/delete_image", request_id=response["id"], type="video")
    assert videos["message"] == "Request not found"
    assert Output.objects.filter(job=job).exists()


@pytest.mark.parametrize("path", ["v3/nsfw_image_check", "v1/enterprise/nsfw_image_check"])
def test_nsfw_image_check_is_a_job_that_analyzes_the_image(alice, red, model, work, path):
    model(Kind.NSFW, "open_nsfw")
    response = alice.call(path, init_image=red, threshold="0.7")
    job = Job.objects.get()
    assert job.generation_request.analysis == Analysis(find="nsfw", model="open_nsfw", threshold=0.7)
    work()
    body = alice.call(f"v3/fetch/{response['id']}")
    assert (body["status"], body["has_nsfw_concept"]) == ("success", [False])
    assert alice.client.get(body["images"][0]).status_code == 200


def test_nsfw_image_check_has_the_documented_threshold(alice, red, model):
    model(Kind.NSFW, "open_nsfw")
    alice.call("v3/nsfw_image_check", init_image=red)
    assert Job.objects.get().generation_request.analysis.threshold == 0.5


def test_nsfw_image_check_without_a_detector_tells_how_to_install_one(alice, red):
    assert "install_nsfw_detector" in str(alice.call("v3/nsfw_image_check", init_image=red)["message"])
