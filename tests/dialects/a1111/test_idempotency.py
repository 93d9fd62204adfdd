import pytest

from jobs.models import Job

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

KEY = {"Idempotency-Key": "order-4711"}


def post(caller, body, name="txt2img", headers=KEY):
    url = f"/sdapi/v1/{name}"
    return caller.client.post(url, body, content_type="application/json", headers=headers)


def test_repeated_request_waits_for_its_job(alice) -> None:
    first, again = (post(alice, {"prompt": "a cat", "width": 64, "height": 64}) for _time in range(2))
    assert (first.status_code, first["X-Job-Id"]) == (503, again["X-Job-Id"])
    assert Job.objects.count() == 1


def test_different_request_with_the_same_key_is_409(alice) -> None:
    post(alice, {"prompt": "a cat", "width": 64, "height": 64})
    response = post(alice, {"prompt": "a dog", "width": 64, "height": 64})
    assert (response.status_code, response.json()["error"]) == (409, "HTTPException")
    assert "another request" in response.json()["detail"]
    assert Job.objects.count() == 1


def test_same_key_of_another_tenant_creates_another_job(alice, charlie) -> None:
    body = {"prompt": "a cat", "width": 64, "height": 64}
    assert post(alice, body)["X-Job-Id"] != post(charlie, body)["X-Job-Id"]


def test_invalid_idempotency_key_is_400(alice) -> None:
    assert post(alice, {}, headers={"Idempotency-Key": "a b"}).status_code == 400
