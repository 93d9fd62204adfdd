import pytest

from jobs.models import Job

pytestmark = pytest.mark.slow

KEY = {"Idempotency-Key": "order-4711"}


def post(caller, body, name="txt2img", headers=KEY):
    url = f"/sdapi/v1/{name}"
    return caller.client.post(url, body, content_type="application/json", headers=headers)


def test_a_request_that_is_sent_again_waits_for_its_job(alice) -> None:
    first, again = (post(alice, {"prompt": "a cat", "width": 64, "height": 64}) for _time in range(2))
    assert (first.status_code, first["X-Job-Id"]) == (503, again["X-Job-Id"])
    assert Job.objects.count() == 1


def test_another_request_with_the_key_is_409(alice) -> None:
    post(alice, {"prompt": "a cat", "width": 64, "height": 64})
    response = post(alice, {"prompt": "a dog", "width": 64, "height": 64})
    assert (response.status_code, response.json()["error"]) == (409, "HTTPException")
    assert "another request" in response.json()["detail"]
    assert Job.objects.count() == 1


def test_a_stranger_with_the_same_key_has_a_job_of_his_own(alice, charlie) -> None:
    body = {"prompt": "a cat", "width": 64, "height": 64}
    assert post(alice, body)["X-Job-Id"] != post(charlie, body)["X-Job-Id"]


def test_a_key_that_is_none_is_400(alice) -> None:
    assert post(alice, {}, headers={"Idempotency-Key": "a b"}).status_code == 400
