"""Errors: HTTP status, and ``{"error": {"code", "message", "param", "type"}}``."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import OperationalError
from django.test import Client

from access.keys.bearer_tokens import opaque_token
from access.models import AccessKey
from dialects.ark import views
from jobs.admission.admit import admit
from jobs.models import Job
from models_registry.models import Family, Kind
from tests.dialects.ark.conftest import PATH

EXPIRED = datetime(2020, 1, 1, tzinfo=UTC)

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


def error_of(response, status: int) -> dict[str, str]:
    assert response.status_code == status, response.content
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message", "param", "type"}
    return body["error"]


def send(authorization: str | None):
    headers = {} if authorization is None else {"Authorization": authorization}
    body = {"model": "shapes", "prompt": "x"}
    return Client(headers=headers).post(PATH, body, content_type="application/json")


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer x", "Bearer x:y", "Bearer sk-", "Bearer sk-eDp5", "Basic eDp5", "\0"],
)
def test_authentication_error(checkpoint, authorization):
    error = error_of(send(authorization), 401)
    assert (error["code"], error["type"]) == ("AuthenticationError", "Unauthorized")
    assert not Job.objects.exists()


def test_wrong_secret(alice):
    response = send(f"Bearer {alice.access_key.key_id}:wrong")
    assert error_of(response, 401)["code"] == "AuthenticationError"


def test_opaque_token(alice):
    key_id, secret = alice.key.split(":")
    assert send(f"Bearer {opaque_token(key_id, secret)}").headers["X-Job-Id"]


@pytest.mark.parametrize(
    "limits",
    [
        {"enabled": False},
        {"expires_at": EXPIRED},
        {"dialects": ["native"]},
        {"networks": ["10.0.0.0/8"]},
        {"allowed_models": ["checkpoint:other"]},
    ],
    ids=str,
)
def test_access_denied(alice, limits):
    AccessKey.objects.filter(pk=alice.access_key.pk).update(**limits)
    error = alice.refused(403)
    assert (error["code"], error["type"]) == ("AccessDenied", "Forbidden")


@pytest.mark.parametrize("name", ["none", "SHAPES", "a" * 255])
def test_unknown_model(alice, name):
    error = alice.refused(404, model=name)
    assert (error["code"], error["param"]) == ("InvalidEndpointOrModel.NotFound", "model")
    assert error["type"] == "NotFound"


def test_model_of_another_tenant_does_not_exist(alice, charlie, model, other_source):
    model(Kind.CHECKPOINT, "theirs").allowed_sources.add(other_source)
    message = "The model or endpoint theirs does not exist or you do not have access to it."
    assert alice.refused(404, model="theirs")["message"] == message


def test_model_of_an_unsupported_family(alice, model):
    model(Kind.CHECKPOINT, "strange", family=Family.UNKNOWN)
    error = alice.refused(model="strange")
    assert (error["code"], error["param"]) == ("InvalidParameter", "model")


def test_unusable_model_has_its_reason(alice, model):
    model(Kind.CHECKPOINT, "broken", problem="the file is truncated")
    assert "the file is truncated" in alice.refused(model="broken")["message"]


def test_rate_limit(alice):
    AccessKey.objects.filter(pk=alice.access_key.pk).update(requests_per_second=0.01)
    alice.post()
    response = alice.post()
    error = error_of(response, 429)
    assert (error["code"], error["type"]) == ("RateLimitExceeded", "TooManyRequests")
    assert int(response["Retry-After"]) > 0


def test_full_queue(alice, submission):
    admit(submission(key=alice.access_key))
    AccessKey.objects.filter(pk=alice.access_key.pk).update(max_queued_jobs=1)
    response = alice.post()
    assert error_of(response, 429)["code"] == "RateLimitExceeded"
    assert response["Retry-After"]


@pytest.mark.parametrize("limits", [{"images_per_day": 0}, {"total_budget": Decimal("0.000001")}], ids=str)
def test_quota(alice, limits):
    AccessKey.objects.filter(pk=alice.access_key.pk).update(**limits)
    response = alice.post()
    assert error_of(response, 429)["code"] == "QuotaExceeded"
    assert response["x-should-retry"] == "false"


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b'"a"', b"null", b'{"prompt": "\\u0000"}'])
def test_body_that_is_no_json_object(alice, body):
    response = alice.client.post(PATH, body, content_type="application/json")
    assert error_of(response, 400)["code"] == "InvalidParameter"


def test_multipart_body(alice):
    assert error_of(alice.client.post(PATH, {"model": "shapes"}), 400)["code"] == "InvalidParameter"


def test_large_body(alice, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert error_of(alice.post(prompt="x" * 200), 413)["code"] == "InvalidParameter"


def test_key_of_another_request(alice):
    once = {"Idempotency-Key": "once"}
    alice.post(once)
    assert "another request" in error_of(alice.post(once, seed=1), 400)["message"]


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_other_method(alice, method):
    assert error_of(getattr(alice.client, method)(PATH), 405)["code"] == "InvalidParameter"


@pytest.mark.parametrize(
    "path", ["chat/completions", "responses", "embeddings", "contents/generations/tasks/cgt-1", "files"]
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_endpoint_that_generates_no_images(alice, path, method):
    error = error_of(getattr(alice.client, method)(f"/api/v3/{path}"), 404)
    assert error["code"] == "InvalidEndpointOrModel.NotFound"
    assert path in error["message"]
    assert error_of(getattr(Client(), method)(f"/api/v3/{path}"), 401)


def test_routes_of_stablediffusionapi_remain(alice):
    assert Client().post("/api/v3/text2img").json()["status"] == "error"


def test_unexpected_error_has_no_details(alice, monkeypatch):
    def fail(*_arguments, **_options):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(views, "read_submission", fail)
    error = error_of(alice.post(), 500)
    assert (error["code"], error["type"]) == ("InternalServiceError", "InternalServerError")
    assert error["message"] == "Internal error."


def test_database_outage(alice, monkeypatch):
    def fail(*_arguments, **_options):
        raise OperationalError("connection refused")

    monkeypatch.setattr(views, "find_replay", fail)
    response = alice.post()
    assert error_of(response, 503)["code"] == "InternalServiceError"
    assert response["Retry-After"]
