"""Asynchronous tasks: submit, poll, cancel."""

import base64
import io
import re
from datetime import timedelta

import pytest
from django.utils import timezone
from PIL import Image

from jobs.execution import lifecycle
from jobs.models import Job, OutputKind, State
from tests.dialects.volcengine.conftest import STYLE
from tests.support import fake_runner as behaviors

pytestmark = pytest.mark.django_db

LOGO = {"logo_info": {"add_logo": True, "opacity": 1}}


def decoded(data: dict) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data["binary_data_base64"][0])))


def status(response) -> str:
    assert response.json()["code"] == 10000
    return response.json()["data"]["status"]


@pytest.mark.parametrize("pair", ["CV", "CVSync2Async"])
def test_task_is_queued_runs_and_is_done(alice, body, work, pair) -> None:
    content = alice.call(f"{pair}SubmitTask", body).json()
    task_id = content["data"]["task_id"]
    assert re.fullmatch(r"[1-9][0-9]{18}", task_id)
    query = {"req_key": STYLE, "task_id": task_id}
    assert status(alice.call(f"{pair}GetResult", query)) == "in_queue"
    Job.objects.update(state=State.RUNNING)
    assert status(alice.call(f"{pair}GetResult", query)) == "generating"
    Job.objects.update(state=State.QUEUED)
    work()
    response = alice.call(f"{pair}GetResult", query)
    assert status(response) == "done"
    assert decoded(response.json()["data"]).size == (704, 352)


def test_req_json_selects_url_logo_and_aigc_entry(alice, body, work, client) -> None:
    job = alice.submit(body)
    work()
    plain = decoded(alice.result(job).json()["data"])
    data = alice.result(job, return_url=True, aigc_meta={"producer_id": "p"}, **LOGO).json()["data"]
    assert (data["aigc_meta_tagged"], data["binary_data_base64"]) == (True, [])
    marked = Image.open(io.BytesIO(client.get(data["image_urls"][0]).getvalue()))
    assert marked.tobytes() != plain.tobytes()
    assert (marked.info["AIGC"], "parameters" in marked.info) == ('{"Label": "1", "ProduceID": "p"}', True)
    assert decoded(alice.result(job).json()["data"]).tobytes() == plain.tobytes()


def test_each_logo_is_rendered_once_and_their_number_is_limited(alice, body, work) -> None:
    job = alice.submit(body)
    work()
    for _ in range(3):
        assert status(alice.result(job, **LOGO)) == "done"
    assert job.outputs.filter(kind=OutputKind.MARKED).count() == 1
    codes = [
        alice.result(job, logo_info={"add_logo": True, "opacity": n / 20}).json()["code"]
        for n in range(1, 20)
    ]
    assert codes[:15] == [10000] * 15
    assert codes[-1] == 50200


def test_task_with_its_own_logo_gets_no_second_one(alice, body, work) -> None:
    job = alice.submit({**body, **LOGO})
    work()
    assert (
        decoded(alice.result(job).json()["data"]).tobytes()
        == decoded(alice.result(job, logo_info={"add_logo": True, "position": 2}).json()["data"]).tobytes()
    )


def test_failed_task_returns_its_error_code(alice, body, work, fake_runner) -> None:
    fake_runner.behavior = behaviors.rejects_its_output
    job = alice.submit(body)
    work()
    response = alice.result(job)
    assert (response.status_code, response.json()["code"], response.json()["data"]) == (400, 50511, None)


def test_unknown_task_and_one_of_another_tenant_or_style_are_not_found(alice, charlie, body, style) -> None:
    job = alice.submit(body)
    assert status(charlie.result(job)) == "not_found"
    other = {"req_key": "img2img_other", "task_id": job.external_id}
    assert status(alice.call("CVGetResult", other)) == "not_found"
    unknown = {"req_key": STYLE, "task_id": "1" * 19}
    assert status(alice.call("CVGetResult", unknown)) == "not_found"


@pytest.mark.parametrize("task_id", ["7", "x" * 19, "٣" * 19])
def test_malformed_task_id_is_invalid_input(alice, task_id) -> None:
    response = alice.call("CVGetResult", {"req_key": STYLE, "task_id": task_id})
    assert (response.status_code, response.json()["code"]) == (400, 50215)
    assert response.json()["message"] == "Input invalid for this service."


def test_req_json_must_be_a_string_of_a_json_object(alice, body) -> None:
    job = alice.submit(body)
    for value, reason in (
        ("{", "req_json is not JSON"),
        ("[]", "req_json is not a JSON object"),
        ({"return_url": True}, "req_json must be of the type string"),
        ('{"return_url": "yes"}', "req_json.return_url must be of the type boolean"),
    ):
        sent = {"req_key": STYLE, "task_id": job.external_id, "req_json": value}
        response = alice.call("CVGetResult", sent).json()
        assert (response["code"], response["message"]) == (50204, f"Parameter Parse Error: {reason}")


def test_result_is_available_for_twelve_hours(alice, body, work) -> None:
    job = alice.submit(body)
    work()
    for hours, expected in ((11, "done"), (13, "not_found")):
        Job.objects.update(finished_at=timezone.now() - timedelta(hours=hours))
        assert status(alice.result(job)) == expected


def test_task_that_waited_too_long_is_expired(alice, body) -> None:
    job = alice.submit(body)
    lifecycle.expire(job.pk)
    assert status(alice.result(job)) == "expired"


def test_cancelled_task_is_not_found_and_cancelling_again_is_no_error(alice, charlie, body) -> None:
    job = alice.submit(body)
    query = {"req_key": STYLE, "task_id": job.external_id}
    assert charlie.call("CVCancelTask", query, version="2024-06-06").status_code == 200
    assert status(alice.result(job)) == "in_queue"
    for _ in range(2):
        response = alice.call("CVCancelTask", query, version="2024-06-06").json()
        assert response["Result"]["code"] == 10000
    assert status(alice.result(job)) == "not_found"
