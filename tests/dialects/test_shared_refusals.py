"""Refusals that all dialects share: status, code, message, and Retry-After if a later retry can succeed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client
from django.utils import timezone

from access.models import AccessKey, BusinessSource
from jobs.admission.admit import admit
from jobs.models import Job, Runner
from models_registry.models import Family, Kind, ModelFile, StylePreset
from tests.dialects.a1111.conftest import Caller as A1111
from tests.dialects.native.conftest import Caller as Native
from tests.dialects.openai.conftest import Caller as OpenAI
from tests.dialects.volcengine.conftest import STYLE, encoded
from tests.dialects.volcengine.conftest import Caller as Volcengine
from tests.dialects.zhiqite.conftest import PREFIX, credentials, generation_body
from tests.support.fake_runner import png
from tests.support.text_model_server import DETAILS
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.slow

SIZE = {"width": 128, "height": 128}
PROMPT = {"prompt": "a red circle"}


@dataclass
class Refusal:
    status: int
    code: Any  # that clients of the dialect check
    message: str
    retry_after: str | None


def _refusal(response: Any, code: Callable[[Any], Any], message: Callable[[Any], Any]) -> Refusal:
    body = response.json()
    return Refusal(response.status_code, code(body), str(message(body)), response.headers.get("Retry-After"))


Sender = Callable[..., Refusal]  # (key, secret, web, data: bytes | None = None): data replaces a valid body


def a1111(key: AccessKey, secret: str, web: WebServer, data: bytes | None = None) -> Refusal:
    response = A1111(key, secret).post("txt2img", PROMPT | SIZE if data is None else data)
    return _refusal(response, lambda _body: None, lambda body: body["detail"] or body["errors"])


def native(key: AccessKey, secret: str, web: WebServer, data: bytes | None = None) -> Refusal:
    response = Native(key, secret).post("jobs", PROMPT | SIZE if data is None else data)
    if response.status_code != 201:
        assert response["Content-Type"] == "application/problem+json"
        assert str(response.json().get("retry_after", "")) == response.headers.get("Retry-After", "")
    return _refusal(response, lambda body: body.get("code"), lambda body: body.get("detail"))


def ark(key: AccessKey, secret: str, web: WebServer, data: bytes | None = None) -> Refusal:
    client = Client(headers={"Authorization": f"Bearer {key.key_id}:{secret}"})
    body = {"model": "shapes", **PROMPT, "size": "128x128"} if data is None else data
    response = client.post("/api/v3/images/generations", body, content_type="application/json")
    return _refusal(
        response, lambda body: body["error"].get("code"), lambda body: body["error"].get("message")
    )


def openai(key: AccessKey, secret: str, web: WebServer, data: bytes | None = None) -> Refusal:
    body = PROMPT | {"size": "128x128", "async": True}
    response = OpenAI(key, secret).post("images/generations", body if data is None else data)
    assert response.status_code == 202 or response.json().keys() == {"error"}
    return _refusal(
        response,
        lambda body: body.get("error", {}).get("code"),
        lambda body: body.get("error", {}).get("message"),
    )


def stablediffusionapi(
    key: AccessKey, secret: str, web: WebServer, data: bytes | None = None, edition: str = "v3"
) -> Refusal:
    path = "v3/text2img" if edition == "v3" else "v6/realtime/text2img"
    body = {"key": f"{key.key_id}:{secret}"} | PROMPT | {"width": "128", "height": "128"}
    response = Client().post(f"/api/{path}", body if data is None else data, content_type="application/json")
    return _refusal(response, lambda body: body["status"], lambda body: body["message"])


def stablediffusionapi_v6(key: AccessKey, secret: str, web: WebServer, data: bytes | None = None) -> Refusal:
    return stablediffusionapi(key, secret, web, data, "v6")


def volcengine(key: AccessKey, secret: str, web: WebServer, data: bytes | None = None) -> Refusal:
    body = {"req_key": STYLE, **PROMPT, "binary_data_base64": [encoded(png(128, 128))]}
    response = Volcengine(key, secret).call("CVSync2AsyncSubmitTask", body if data is None else data)
    return _refusal(response, lambda body: body.get("code"), lambda body: body.get("message", body))


def zhiqite(key: AccessKey, secret: str, web: WebServer, data: bytes | None = None) -> Refusal:
    client = Client(headers=credentials(key.key_id, secret))
    body = generation_body() if data is None else data
    response = client.post(f"{PREFIX}sd/v2/text2image", body, content_type="application/json")
    return _refusal(response, lambda body: body["code"], lambda body: body["msg"])


def smzdm(key: AccessKey, secret: str, web: WebServer, data: bytes | None = None) -> Refusal:
    client = Client(headers={"Authorization": f"Bearer {key.key_id}:{secret}"})
    body = {
        "img_url": web.url("/red.png"),
        "prompt": "beige",
        "from": key.source.name,
        "callback_url": "http://93.184.215.14/done",
        "taskid": 7,
    }
    response = client.post(
        "/pictures/change_background", body if data is None else data, content_type="application/json"
    )
    return _refusal(response, lambda body: body["error_code"], lambda body: body["error_msg"])


DIALECTS: dict[str, Sender] = {
    function.__name__: function
    for function in (
        a1111,
        ark,
        native,
        openai,
        stablediffusionapi,
        stablediffusionapi_v6,
        volcengine,
        zhiqite,
        smzdm,
    )
}
# Limits of a key or a source that the next request exceeds.
LIMITS = ("rate", "queue", "quota", "budget", "model", "size", "expired", "disabled", "dialect")
# Errors of the request itself, or of the platform.
FAULTS = (
    "secret",
    "no model",
    "broken",
    "malformed",
    "nested",
    "no object",
    "too large",
    "internal error",
    "unavailable",
    "text model",
)
MALFORMED = (b"\xff", b'{"seed": NaN}', b'{"seed": 1e999}', b"[" * 100_000)
NESTED = b'{"a": ' * 200 + b"1" + b"}" * 200
# By kind of refusal: HTTP status and the dialect's own code.
EXPECTED: dict[str, dict[str, tuple[int, Any]]] = {
    "a1111": {
        "rate": (429, None),
        "queue": (429, None),
        "quota": (429, None),
        "budget": (402, None),
        "model": (403, None),
        "size": (422, None),
        "expired": (401, None),
        "disabled": (401, None),
        "dialect": (401, None),
        "secret": (401, None),
        "no model": (500, None),
        "broken": (422, None),
        "malformed": (400, None),
        "nested": (400, None),
        "no object": (422, None),
        "too large": (413, None),
        "internal error": (500, None),
        "unavailable": (503, None),
        "text model": (503, None),
    },
    "ark": {
        "rate": (429, "RateLimitExceeded"),
        "queue": (429, "RateLimitExceeded"),
        "quota": (429, "QuotaExceeded"),
        "budget": (429, "QuotaExceeded"),
        "model": (403, "AccessDenied"),
        "size": (400, "InvalidParameter"),
        "expired": (403, "AccessDenied"),
        "disabled": (403, "AccessDenied"),
        "dialect": (403, "AccessDenied"),
        "secret": (401, "AuthenticationError"),
        "no model": (404, "InvalidEndpointOrModel.NotFound"),
        "broken": (400, "InvalidParameter"),
        "malformed": (400, "InvalidParameter"),
        "nested": (400, "InvalidParameter"),
        "no object": (400, "InvalidParameter"),
        "too large": (413, "InvalidParameter"),
        "internal error": (500, "InternalServiceError"),
        "unavailable": (503, "InternalServiceError"),
        "text model": (503, "InternalServiceError"),
    },
    "native": {
        "rate": (429, "rate_limited"),
        "queue": (429, "queue_full"),
        "quota": (429, "quota_exhausted"),
        "budget": (402, "budget_exhausted"),
        "model": (403, "model_not_allowed"),
        "size": (422, "over_limit"),
        "expired": (403, "forbidden"),
        "disabled": (403, "forbidden"),
        "dialect": (403, "forbidden"),
        "secret": (401, "unauthorized"),
        "no model": (422, "unknown_model"),
        "broken": (400, "malformed_json"),
        "malformed": (400, "malformed_json"),
        "nested": (400, "malformed_json"),
        "no object": (422, "invalid"),
        "too large": (413, "too_large"),
        "internal error": (500, "internal"),
        "unavailable": (503, "unavailable"),
        "text model": (503, "text_model_failed"),
    },
    "openai": {
        "rate": (429, "rate_limit_exceeded"),
        "queue": (429, "rate_limit_exceeded"),
        "quota": (429, "insufficient_quota"),
        "budget": (429, "insufficient_quota"),
        "model": (403, "permission_error"),
        "size": (400, "over_limit"),
        "expired": (403, "permission_error"),
        "disabled": (403, "permission_error"),
        "dialect": (403, "permission_error"),
        "secret": (401, "invalid_api_key"),
        "no model": (404, "model_not_found"),
        "broken": (400, "invalid_json"),
        "malformed": (400, "invalid_json"),
        "nested": (400, "invalid_json"),
        "no object": (400, "invalid_json"),
        "too large": (413, "request_too_large"),
        "internal error": (500, "server_error"),
        "unavailable": (503, "overloaded"),
        "text model": (503, "text_model_failed"),
    },
    "stablediffusionapi": dict.fromkeys((*LIMITS, *FAULTS), (200, "error")),
    "stablediffusionapi_v6": {
        "rate": (429, "error"),
        "queue": (429, "error"),
        "quota": (402, "error"),
        "budget": (402, "error"),
        "model": (403, "error"),
        "size": (400, "error"),
        "expired": (401, "error"),
        "disabled": (401, "error"),
        "dialect": (401, "error"),
        "secret": (401, "error"),
        "no model": (400, "error"),
        "broken": (400, "error"),
        "malformed": (400, "error"),
        "nested": (400, "error"),
        "no object": (400, "error"),
        "too large": (413, "error"),
        "internal error": (500, "error"),
        "unavailable": (503, "error"),
        "text model": (503, "error"),
    },
    "volcengine": {
        "rate": (429, 50429),
        "queue": (429, 50430),
        "quota": (429, 50429),
        "budget": (401, 50400),
        "model": (401, 50400),
        "size": (400, 50200),
        "expired": (403, None),
        "disabled": (403, None),
        "dialect": (403, None),
        "secret": (401, None),
        "no model": (500, 50500),
        "broken": (400, 50204),
        "malformed": (400, 50204),
        "nested": (400, 50204),
        "no object": (400, 50204),
        "too large": (400, 50213),
        "internal error": (500, 50500),
        "unavailable": (503, None),
        "text model": (500, 50501),
    },
    "zhiqite": dict.fromkeys((*LIMITS, *FAULTS), (200, "400")),
    "smzdm": {
        "rate": (200, 1005),
        "queue": (200, 1005),
        "quota": (200, 1005),
        "budget": (200, 1006),
        "model": (200, 1003),
        "size": (200, 1001),
        "expired": (200, 1006),
        "disabled": (200, 1006),
        "dialect": (200, 1006),
        "secret": (200, 1006),
        "no model": (200, 1003),
        "broken": (200, 1001),
        "malformed": (200, 1001),
        "nested": (200, 1001),
        "no object": (200, 1001),
        "too large": (200, 1001),
        "internal error": (200, 1004),
        "unavailable": (200, 1005),
        "text model": (200, 1004),
    },
}
# Volcengine's gateway reports such a key as unknown.
KEY_ONLY = {("volcengine", "expired"): (401, None), ("volcengine", "disabled"): (401, None)}
RETRYABLE = {"rate", "queue", "quota"}  # with Retry-After
MESSAGES = {
    "queue": "in the queue",
    "quota": "left today",
    "budget": "budget",
    "model": "may not use",
    "broken": "The body is not JSON",
    "malformed": "The body is not JSON",
    "nested": "The body is not JSON",
    "no object": "The body must be a JSON object.",
    "too large": "The request body is too large.",
    "internal error": "Internal error.",
    "unavailable": "temporarily unavailable",
    "text model": "The text model failed: it answered with status 500.",
}
DIALECT_MESSAGES = {
    ("a1111", "secret"): "Incorrect username or password",
    ("a1111", "no model"): "model '' not found",
    ("a1111", "malformed"): "There was an error parsing the body",
    ("a1111", "nested"): "There was an error parsing the body",
    ("a1111", "broken"): "value_error.jsondecode",
    ("a1111", "no object"): "type_error.dict",
    ("native", "no object"): "Validation failed",
    ("stablediffusionapi", "queue"): "Rate limit exceeded",
    ("stablediffusionapi", "rate"): "Rate limit exceeded",
    ("stablediffusionapi_v6", "rate"): "Rate limit exceeded. Too many requests",
    ("stablediffusionapi", "quota"): "Insufficient credits. ",
    ("stablediffusionapi", "secret"): "Invalid Api Key",
    ("stablediffusionapi", "internal error"): "Internal server error. Please try again.",
    ("stablediffusionapi_v6", "internal error"): "Internal server error. Please try again.",
    ("volcengine", "rate"): "Request Has Reached API Limit, Please Try Later",
    ("volcengine", "queue"): "Request Has Reached API Concurrent Limit, Please Try Later",
    ("volcengine", "budget"): "Access Denied: ",
    ("volcengine", "broken"): "the body is not JSON",
    ("volcengine", "malformed"): "the body is not JSON",
    ("volcengine", "nested"): "the body is not JSON",
    ("volcengine", "no object"): "the body is not a JSON object",
    ("volcengine", "too large"): "Request Body Too Large",
    ("volcengine", "internal error"): "Internal Error",
    ("zhiqite", "secret"): "accessKey invalid",
}


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    server.answers["/red.png"] = answer(200, png(128, 128))
    yield server
    server.close()


@pytest.fixture
def caller(source, checkpoint, settings, web) -> tuple[AccessKey, str]:
    """A key that may use every dialect, and whose source may reach the web server."""
    settings.JOB_WAIT_S = settings.STABLEDIFFUSIONAPI_WAIT_S = 0
    source.reachable, source.comfyui_by_pipeline = ["127.0.0.1"], True
    source.save()
    ModelFile.objects.create(
        kind=Kind.MATTING, family=Family.UNKNOWN, name="u2netp", path="matting/u2netp.onnx", sha256="1" * 64
    )
    ModelFile.objects.create(
        kind=Kind.CONTROLNET,
        family=Family.SD15,
        name="control_v11p_sd15_lineart",
        path="controlnet/control_v11p_sd15_lineart.pth",
        sha256="2" * 64,
    )
    StylePreset.objects.create(key=STYLE.removesuffix("_usage"), checkpoint=checkpoint)
    Runner.objects.create(name="local", url="http://127.0.0.1:9", slots=4)
    return AccessKey.issue(source)


def limit(kind: str, holder: BusinessSource | AccessKey, submission: Any) -> None:
    """Set a limit that the next request exceeds."""
    admitted = admit(submission())
    fields: dict[str, Any] = {
        "rate": {"requests_per_second": 0.01},
        "queue": {"max_queued_jobs": 1},
        "quota": {"images_per_day": 1},
        "budget": {"total_budget": admitted.cost_estimate},
        "model": {"allowed_models": ["checkpoint:another*"]},
        "size": {"max_width": 64, "max_height": 64},
        "expired": {"expires_at": timezone.now() - timedelta(seconds=1)},
        "disabled": {"enabled": False},
        "dialect": {"dialects": ["none of these"]},
    }[kind]
    type(holder).objects.filter(pk=holder.pk).update(**fields)


def expected_message(dialect: str, kind: str) -> str:
    return DIALECT_MESSAGES.get((dialect, kind), MESSAGES.get(kind, ""))


def assert_refused(refusal: Refusal, dialect: str, kind: str) -> None:
    assert (refusal.status, refusal.code) == EXPECTED[dialect][kind], refusal
    assert expected_message(dialect, kind) in refusal.message
    assert not Job.objects.exists()


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_limit_of_a_key_is_refused_with_the_dialects_code_and_message(dialect, kind, caller, submission, web):
    key, secret = caller
    limit(kind, key, lambda: submission(key=key))
    if kind == "rate":
        DIALECTS[dialect](key, secret, web)
    before = Job.objects.count()
    refusal = DIALECTS[dialect](key, secret, web)
    expected = KEY_ONLY.get((dialect, kind)) or EXPECTED[dialect][kind]
    assert (refusal.status, refusal.code) == expected, refusal
    assert (refusal.retry_after is not None and int(refusal.retry_after) > 0) == (kind in RETRYABLE), refusal
    assert expected_message(dialect, kind) in refusal.message
    assert Job.objects.count() == before


@pytest.mark.parametrize("kind", [kind for kind in LIMITS if kind != "model"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_limit_of_a_source_is_refused_with_the_dialects_code(dialect, kind, caller, submission, source, web):
    key, secret = caller
    limit(kind, source, lambda: submission(key=AccessKey.issue(source)[0]))
    if kind == "rate":
        DIALECTS[dialect](key, secret, web)
    refusal = DIALECTS[dialect](key, secret, web)
    assert (refusal.status, refusal.code) == EXPECTED[dialect][kind], refusal
    assert (refusal.retry_after is not None) == (kind in RETRYABLE), refusal


@pytest.mark.parametrize("data", MALFORMED, ids=lambda data: repr(data[:16]))
@pytest.mark.parametrize("dialect", DIALECTS)
def test_body_that_is_not_json_is_refused(dialect, data, caller, web):
    assert_refused(DIALECTS[dialect](*caller, web, data), dialect, "malformed")


@pytest.mark.parametrize(("kind", "data"), [("broken", b"{"), ("nested", NESTED), ("no object", b"[1]")])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_body_without_a_json_object_is_refused(dialect, kind, data, caller, web):
    assert_refused(DIALECTS[dialect](*caller, web, data), dialect, kind)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_body_that_is_too_large_is_refused(dialect, caller, web, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    assert_refused(DIALECTS[dialect](*caller, web), dialect, "too large")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_wrong_secret_is_refused(dialect, caller, web):
    assert_refused(DIALECTS[dialect](caller[0], "wrong", web), dialect, "secret")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_model_that_the_registry_does_not_have_is_refused(dialect, caller, web, checkpoint):
    checkpoint.enabled = False
    checkpoint.save()
    assert_refused(DIALECTS[dialect](*caller, web), dialect, "no model")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_message_of_an_internal_error_has_no_details(dialect, caller, web, monkeypatch):
    monkeypatch.setattr("jobs.admission.validation.check", lambda *_arguments: 1 / 0)
    refusal = DIALECTS[dialect](*caller, web)
    assert_refused(refusal, dialect, "internal error")
    assert "division" not in refusal.message


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_request_while_the_database_is_not_reachable_can_be_sent_again(
    dialect, error, caller, web, monkeypatch
):
    def lose_connection(*_arguments):
        raise error("server closed the connection unexpectedly")

    monkeypatch.setattr("jobs.admission.validation.check", lose_connection)
    refusal = DIALECTS[dialect](*caller, web)
    assert_refused(refusal, dialect, "unavailable")
    assert int(refusal.retry_after) > 0
    assert "connection" not in refusal.message


@pytest.mark.parametrize("dialect", DIALECTS)
def test_failure_of_the_text_model_refuses_a_strict_source(dialect, caller, source, web, text_model):
    key, secret = caller
    source.strict, source.prompt_mode = True, "expand"
    source.save()
    text_model.misbehavior = "500"
    refusal = DIALECTS[dialect](key, secret, web)
    assert_refused(refusal, dialect, "text model")
    assert int(refusal.retry_after) > 0


@pytest.mark.parametrize("dialect", DIALECTS)
def test_prompts_are_expanded_if_the_source_wants_it(dialect, caller, source, web, text_model):
    key, secret = caller
    source.prompt_mode = "expand"
    source.save()
    DIALECTS[dialect](key, secret, web)
    job = Job.objects.get()
    assert job.request["prompt"].endswith(DETAILS)
    assert not job.rewriting["written"]["prompt"].endswith(DETAILS)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_message_keeps_names_that_contain_a_field(dialect, caller, source, web):
    """The field has the dialect's own name in the message, but nothing else is replaced."""
    name = "num_inference_steps-width-num_images"
    BusinessSource.objects.filter(pk=source.pk).update(name=name, max_width=64, max_height=64)
    key, secret = caller
    key.source.name = name
    refusal = DIALECTS[dialect](key, secret, web)
    assert f"must be at most 64 for {name}" in refusal.message


@pytest.mark.parametrize("dialect", DIALECTS)
def test_request_within_the_limits_is_admitted(dialect, caller, web):
    key, _secret = caller
    limits = {
        "requests_per_second": 100,
        "images_per_day": 9,
        "total_budget": Decimal(9),
        "max_width": 4096,
    }
    AccessKey.objects.filter(pk=key.pk).update(**limits, allowed_models=["checkpoint:shapes", "vae:none"])
    refusal = DIALECTS[dialect](*caller, web)
    assert Job.objects.filter(key=key).count() == 1, refusal
