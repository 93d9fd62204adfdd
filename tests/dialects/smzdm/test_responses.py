"""Responses: waiting for the result, callbacks, storage targets."""

import json

import pytest

from access.accounts import Posting
from jobs.models import Job
from jobs.models.storage_target import StorageTarget
from models_registry.models import Kind
from tests.dialects.smzdm import seed
from tests.dialects.smzdm.conftest import png, product, register
from tests.support import fake_runner as behaviors
from tests.support.receiving_server import work as call_back
from tests.support.web_server import answer

pytestmark = pytest.mark.slow


def names(urls):
    return [url.rsplit("/", 1)[-1] for url in urls]


@pytest.mark.field("smzdm_change_background_answer", "error_code", "error_msg", "data", "data[]")
def test_response_without_a_callback_has_the_urls(alice, worker, client):
    response = alice.send(batch_size=2)
    assert (response["error_code"], response["error_msg"]) == (0, "")
    assert names(response["data"]) == ["0.png", "1.png"]
    for url in response["data"]:
        assert client.get(url)["Content-Type"] == "image/png"
    assert Job.objects.get().lane == 0


@pytest.mark.field("smzdm_change_background", "taskid")
@pytest.mark.parametrize("fields", [{"taskid": -1}, {"taskid": "-1"}, {}])
def test_callback_url_without_a_taskid_is_ignored(alice, worker, image_host, fields):
    response = alice.send(callback_url=image_host.url("/done"), **fields)
    assert len(response["data"]) == 1
    assert not Job.objects.get().has_callback


@pytest.mark.field("smzdm_change_background", "callback_url", "taskid")
def test_response_with_a_callback_is_immediate_and_the_urls_follow(alice, image_host, work, client):
    image_host.answers["/done"] = answer(200)
    response = alice.send(callback_url=image_host.url("/done"), taskid="91")
    assert response == {"error_code": 0, "error_msg": "", "data": []}
    work()
    call_back()
    body = json.loads(image_host.asked[-1].body)
    assert {name: body[name] for name in ("taskid", "error_code", "error_msg")} == {
        "taskid": 91,
        "error_code": 0,
        "error_msg": "",
    }
    assert client.get(body["data"][0])["Content-Type"] == "image/png"


def test_failure_is_called_back(alice, image_host, work, fake_runner):
    fake_runner.behavior = behaviors.fails_with_oom
    image_host.answers["/done"] = answer(200)
    alice.send(callback_url=image_host.url("/done"), taskid=91)
    work()
    call_back()
    body = json.loads(image_host.asked[-1].body)
    assert body == {
        "taskid": 91,
        "error_code": 1004,
        "error_msg": "The image is too large for this runner.",
        "data": [],
    }


def test_unacknowledged_callback_is_retried(alice, image_host, work):
    alice.send(callback_url=image_host.url("/missing"), taskid=91)  # returns 404
    work()
    call_back()
    callback = Job.objects.get().callback
    assert (callback.state, callback.attempts) == ("pending", 1)


@pytest.mark.field("smzdm_change_background_answer", "error_code", "error_msg", "data")
def test_failed_job_has_its_error_message(alice, worker):
    worker.behavior = behaviors.fails_with_oom
    response = alice.send()
    assert response == {
        "error_code": 1004,
        "error_msg": "The image is too large for this runner.",
        "data": [],
    }


def test_job_without_an_idempotency_key_is_cancelled_after_the_maximum_wait(alice, settings):
    settings.JOB_WAIT_S = 0
    assert alice.send()["error_code"] == 1005
    assert Job.objects.get().state == "cancelled"


def test_job_with_an_idempotency_key_continues_and_is_found_again(alice, settings, work):
    settings.JOB_WAIT_S = 0
    key = {"Idempotency-Key": "one"}
    assert alice.post(alice.body, **key)["error_code"] == 1005
    work()
    assert len(alice.post(alice.body, **key)["data"]) == 1
    assert Job.objects.count() == 1
    assert alice.post(alice.body | {"steps": 3}, **key)["error_code"] == 1001


@pytest.fixture
def rembg_body(alice, settings):
    """A body of rembg_img with a mask; the request does not wait for its job."""
    settings.JOB_WAIT_S = 0
    given = {name: alice.body[name] for name in ("img_url", "from")}
    return given | {"is_mask": 1, "model": "u2netp"}


def test_same_idempotency_key_returns_the_foreground_and_its_mask(alice, rembg_body, work):
    key = {"Idempotency-Key": "one"}
    assert alice.post(rembg_body, "rembg_img", **key)["error_code"] == 1005
    work()
    data = alice.post(rembg_body, "rembg_img", **key)["data"]
    assert names(data.values()) == ["0.png", "1.png"]
    assert Job.objects.count() == 1
    assert alice.post(rembg_body | {"is_mask": 0}, "rembg_img", **key)["error_code"] == 1001


def test_foreground_and_its_mask_are_one_job_with_one_price(alice, rembg_body, work):
    prices = []
    for is_mask, key in ((0, "without"), (1, "with")):
        alice.post(rembg_body | {"is_mask": is_mask}, "rembg_img", **{"Idempotency-Key": key})
        work()
        job = Job.objects.latest("created_at")
        prices.append((job.cost, job.images_done))
        assert job.outputs.count() == 1 + is_mask
    assert prices[0] == prices[1]
    assert sum(Posting.objects.filter(kind=Posting.Kind.SETTLE).values_list("images", flat=True)) == 2


def test_mask_url_is_empty_without_is_mask(alice, rembg_body, worker, settings):
    settings.JOB_WAIT_S = 60
    data = alice.post(rembg_body | {"is_mask": 0}, "rembg_img")["data"]
    assert (names([data["img"]]), data["mask"]) == (["0.png"], "")


def test_background_removal_is_cancelled_after_the_maximum_wait(alice, rembg_body):
    assert alice.post(rembg_body, "rembg_img")["error_code"] == 1005
    assert [job.state for job in Job.objects.all()] == ["cancelled"]


# Storage targets


@pytest.mark.field("smzdm_change_background", "upload_img_config", "upload_img_config.channel")
def test_outputs_are_copied_to_the_channels_target(alice, worker, target, client):
    response = alice.send(upload_img_config={"channel": 1202, "type": "public"})
    (url,) = response["data"]
    job = Job.objects.get()
    assert url == f"http://testserver/targets/{job.outputs.get().target_name}"
    copied = b"".join(client.get(url).streaming_content)
    assert copied == job.outputs.get().file.read()
    assert target.files.exists(job.outputs.get().target_name)


@pytest.mark.field("smzdm_change_background", "upload_img_config.public_host")
@pytest.mark.parametrize("public_host", [1, "1", True])
def test_public_host_is_used_if_requested(alice, worker, target, public_host):
    config = {"channel": "1202", "type": "public", "public_host": public_host}
    (url,) = alice.send(upload_img_config=json.dumps(config))["data"]
    assert url == f"https://img.example.com/{Job.objects.get().outputs.get().target_name}"
    assert "/img/" in url


@pytest.mark.field("smzdm_change_background", "upload_img_config.type")
def test_type_selects_among_the_targets_of_a_channel(alice, worker, target, client):
    private = StorageTarget.objects.create(channel="1202", visibility="private", folder="secret")
    (url,) = alice.send(upload_img_config={"channel": 1202, "type": "private", "oper": "lin"})["data"]
    output = Job.objects.get().outputs.get()
    assert output.target_name.startswith("secret/")
    assert private.files.exists(output.target_name)
    assert "/outputs/" in url  # a signed URL, which expires
    assert client.get(f"/targets/{output.target_name}").status_code == 404
    assert Job.objects.get().received["upload_img_config"]["oper"] == "lin"


@pytest.mark.parametrize("config", [None, {}, ""])
def test_nothing_is_copied_without_a_configuration(alice, work, target, config):
    assert alice.job(upload_img_config=config).storage_target is None


@pytest.mark.parametrize(
    "config",
    [
        {"channel": 9},
        {"channel": 1202, "type": "private"},
        {"type": "public"},
        {"channel": 1202, "type": "odd"},
        {"channel": {"a": 1}},
        {"channel": "../x"},
        {"channel": 1202, "public_host": "evil.example"},
        [1],
        "public",
        "{",
    ],
    ids=str,
)
def test_unknown_or_invalid_channel_is_refused(alice, target, config):
    assert alice.refusal(upload_img_config=config)[0] == 1001


def test_target_of_another_source_is_refused(alice, target, other_source):
    target.allowed_sources.add(other_source)
    assert alice.refusal(upload_img_config={"channel": 1202})[0] == 1001


def test_target_without_a_public_host_refuses_to_use_it(alice, target):
    target.public_host = ""
    target.save()
    code, message = alice.refusal(upload_img_config={"channel": 1202, "public_host": 1})
    assert (code, "no public host" in message) == (1001, True)


# The document's examples


@pytest.mark.parametrize("example", [seed.FIRST, seed.SECOND], ids=["first", "second"])
def test_examples_of_the_document_return_images(alice, shop, worker, image_host, target, settings, example):
    """The examples have neither ``from`` nor a key."""
    settings.SMZDM_DEFAULT_SOURCE = shop.name
    for kind, names_of in {
        Kind.CHECKPOINT: ["majicmixRealistic_v7", "epicphotogasm_ultimateFidelity"],
        Kind.LORA: ["simple_bg_0811-006400", "simple_bg_0911-004000"],
        Kind.CONTROLNET: ["control_v11p_sd15_lineart"],
    }.items():
        for name in names_of:
            suffix = "pth" if kind == Kind.CONTROLNET else "safetensors"
            register(kind, name, f"{kind}s/{name}.{suffix}")
    body = seed.at(f"127.0.0.1:{image_host.port}", example)
    for url in (body["img_url"], body["mask_url"]):
        image_host.answers["/" + url.split("/", 3)[3]] = answer(200, png(product()))
    response = alice.post(body)
    assert (response["error_code"], len(response["data"])) == (0, example["batch_size"]), response
    request = Job.objects.get().generation_request
    assert (request.checkpoint, request.num_inference_steps) == (
        example["sd_model_checkpoint"].removesuffix(".safetensors"),
        25,
    )
    assert [lora.unet for lora in request.loras] == [0.8]
    assert [control.module for control in request.controls] == ["lineart_standard"]


# Id of the job


def job_id(alice, **body) -> str | None:
    response = alice.client.post("/pictures/change_background", alice.body | body, "application/json")
    return response.headers.get("X-Job-Id")


def test_response_has_the_id_of_its_job(alice, worker):
    assert job_id(alice) == str(Job.objects.get().pk)


def test_immediate_response_has_the_id_of_its_job(alice):
    assert job_id(alice, callback_url="http://93.184.215.14/done", taskid=7) == str(Job.objects.get().pk)


def test_failed_and_late_jobs_have_their_id(alice, worker, fake_runner, settings):
    fake_runner.behavior = behaviors.fails_with_oom
    assert job_id(alice) == str(Job.objects.get().pk)


def test_job_that_takes_too_long_has_its_id(alice, settings):
    settings.JOB_WAIT_S = 0
    assert job_id(alice) == str(Job.objects.get().pk)


def test_refused_request_has_no_job(alice):
    assert job_id(alice, prompt="") is None


# Field of a missing storage target


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"channel": 7}, "upload_img_config.channel"),
        ({"channel": 1202, "type": "private"}, "upload_img_config.channel"),
        ({"channel": 1202, "public_host": 1}, "upload_img_config.public_host"),
    ],
)
def test_field_of_a_missing_storage_target_is_named(alice, target, config, field):
    StorageTarget.objects.update(public_host="")
    code, message = alice.refusal(upload_img_config=config)
    assert (code, message.partition(": ")[0]) == (1001, field)
