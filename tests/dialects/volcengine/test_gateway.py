"""Authentication, and the errors of the gateway."""

import hashlib
from datetime import timedelta

import pytest

from access.models import AccessKey
from dialects.volcengine.signature import Scope, Signed, SignedRequest
from tests.dialects.volcengine.conftest import Caller
from tests.support.volcengine_signer import now, with_signature

pytestmark = pytest.mark.django_db

QUERY = {"Action": "CVProcess", "Version": "2022-08-31"}
BODY = b'{"prompt": "\\u5929\\u4f7f"}'


def error(response) -> tuple[int, str, int | None]:
    found = response.json()["ResponseMetadata"]["Error"]
    return response.status_code, found["Code"], found.get("CodeN")


def is_authenticated(response) -> bool:
    """Whether the request was authenticated: the response is not a gateway error."""
    return "ResponseMetadata" not in response.json()


def signed_with(caller: Caller, headers: dict[str, str], body: bytes) -> dict[str, str]:
    """The headers, all of them signed, and Authorization."""
    date = headers["x-date"]
    signed = Signed(caller.key.key_id, Scope(date[:8], "cn-north-1", "cv"), date, "", tuple(sorted(headers)))
    return with_signature(
        caller.secret, signed, SignedRequest("POST", "/", tuple(QUERY.items()), headers, body)
    )


@pytest.mark.field(
    "volcengine_cvprocess", "X-Date", "Authorization", "Action", "Version", "接口地址", "请求方式"
)
def test_signed_call_reaches_the_service(alice) -> None:
    assert is_authenticated(alice.call("CVProcess"))


def test_signed_call_may_be_repeated_within_the_clock_window(alice) -> None:
    headers = alice.headers(QUERY, BODY)
    assert all(is_authenticated(alice.send(QUERY, BODY, headers)) for _ in range(2))


def test_signature_of_two_headers_is_accepted(alice) -> None:
    headers = {"x-date": now(), "x-content-sha256": hashlib.sha256(BODY).hexdigest()}
    assert is_authenticated(alice.send(QUERY, BODY, signed_with(alice, headers, BODY)))


def test_body_is_verified_without_its_hash_header(alice) -> None:
    headers = signed_with(alice, {"x-date": now()}, BODY)
    assert is_authenticated(alice.send(QUERY, BODY, headers))
    assert error(alice.send(QUERY, BODY + b" ", headers)) == (401, "SignatureDoesNotMatch", 100010)


def test_wrong_body_hash_is_a_wrong_signature(alice) -> None:
    response = alice.call("CVProcess", BODY, **{"x-content-sha256": "0" * 64})
    assert error(response) == (401, "SignatureDoesNotMatch", 100010)


@pytest.mark.parametrize("sent", ["a.example:8000", "a.example", "a.example:80", "a.example:443"])
def test_host_may_be_signed_without_the_ports_80_and_443(alice, settings, sent) -> None:
    settings.ALLOWED_HOSTS = ["a.example"]
    for as_signed in {sent, sent.removesuffix(":80").removesuffix(":443")}:
        headers = alice.headers(QUERY, BODY, host=as_signed)
        alice.client.defaults["HTTP_HOST"] = sent
        assert is_authenticated(alice.send(QUERY, BODY, headers))


def test_another_port_is_another_host(alice, settings) -> None:
    settings.ALLOWED_HOSTS = ["a.example"]
    headers = alice.headers(QUERY, BODY, host="a.example:8000")
    alice.client.defaults["HTTP_HOST"] = "a.example:8001"
    assert error(alice.send(QUERY, BODY, headers))[1] == "SignatureDoesNotMatch"


@pytest.mark.field("volcengine_cvprocess", "Content-Type")
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_body_is_json_with_any_content_type_which_is_signed(alice, kind) -> None:
    response = alice.call("CVProcess", {"req_key": "img2img_nothing"}, **{"content-type": kind})
    assert response.json()["code"] == 50400
    headers = alice.headers(QUERY, BODY) | {"content-type": "image/png"}
    assert error(alice.send(QUERY, BODY, headers)) == (401, "SignatureDoesNotMatch", 100010)


# Errors of the gateway


@pytest.mark.parametrize("name", QUERY)
def test_missing_parameter_is_refused(alice, name) -> None:
    query = {key: value for key, value in QUERY.items() if key != name}
    response = alice.send(query, BODY, alice.headers(query, BODY))
    assert error(response) == (400, "MissingParameter", 100002)
    metadata = response.json()["ResponseMetadata"]
    assert metadata["Error"]["Message"] == f"The request is missing {name} parameter."
    assert name not in metadata


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("authorization", (401, "MissingAuthenticationToken", 100003)),
        ("x-date", (400, "MissingRequestInfo", 100004)),
    ],
)
def test_missing_header_is_refused(alice, name, expected) -> None:
    headers = {key: value for key, value in alice.headers(QUERY, BODY).items() if key != name}
    assert error(alice.send(QUERY, BODY, headers)) == expected


SCOPED = "Credential=a/20260101/r/cv/request"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"HMAC-SHA256 {SCOPED}, SignedHeaders=x-date", (401, "MissingSignature", 100005)),
        ("HMAC-SHA256 Credential=a/b, SignedHeaders=x-date, Signature=1", (400, "InvalidCredential", 100025)),
        ("HMAC-SHA256 nonsense", (400, "InvalidAuthorization", 100024)),
        ("Bearer x", (400, "InvalidAuthorization", 100024)),
        (f"HMAC-SHA256 {SCOPED}, SignedHeaders=host, Signature=1", (400, "InvalidAuthorization", 100024)),
    ],
)
def test_malformed_authorization_is_refused(alice, header, expected) -> None:
    assert error(alice.send(QUERY, BODY, {"authorization": header, "x-date": now()})) == expected


@pytest.mark.parametrize("seconds", [-1000, 1000])
def test_date_outside_the_clock_window_is_refused(alice, settings, seconds) -> None:
    response = alice.call("CVProcess", date=now(seconds=seconds))
    assert error(response) == (400, "InvalidTimestamp", 100006)
    settings.VOLCENGINE_EXPIRED_STATUS = 403
    assert alice.call("CVProcess", date=now(seconds=seconds)).status_code == 403
    settings.VOLCENGINE_CLOCK_WINDOW_S = 2000
    assert is_authenticated(alice.call("CVProcess", date=now(seconds=seconds)))


def test_x_expires_shortens_the_lifetime_of_a_signature(alice) -> None:
    query = {**QUERY, "X-Expires": "60"}
    for seconds, expected in ((-30, True), (-90, False)):
        headers = alice.headers(query, BODY, date=now(seconds=seconds))
        assert is_authenticated(alice.send(query, BODY, headers)) is expected


def test_another_service_is_not_found(alice) -> None:
    response = alice.call("CVProcess", service="visual")
    assert error(response) == (404, "ServiceNotFound", 100007)
    assert response.json()["ResponseMetadata"]["Error"]["Message"] == "This service[visual] not found."


def test_unknown_action_or_version_is_refused(alice) -> None:
    expected = (404, "InvalidActionOrVersion", 100008)
    assert error(alice.call("CVProces")) == expected
    assert error(alice.call("CVProcess", version="2020-01-01")) == expected


@pytest.mark.field("volcengine_cvprocess", "请求方式")
def test_other_methods_are_refused(alice) -> None:
    response = alice.client.put("/?Action=CVProcess&Version=2022-08-31")
    assert error(response) in [
        (404, "InvalidActionOrVersion", 100008),
        (401, "MissingAuthenticationToken", 100003),
    ]


def test_unknown_key_and_wrong_secret_have_different_errors(alice) -> None:
    assert error(alice.call("CVProcess", key_id="AKLTunknown")) == (401, "InvalidAccessKey", 100009)
    assert error(alice.call("CVProcess", secret="wrong")) == (401, "SignatureDoesNotMatch", 100010)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("enabled", False, (401, "InvalidAccessKey", 100009)),
        ("dialects", ["a1111"], (403, "AccessDenied", 100013)),
        ("networks", ["10.0.0.0/8"], (403, "AccessDenied", 100013)),
    ],
)
def test_disabled_or_restricted_key_is_refused(alice, field, value, expected) -> None:
    AccessKey.objects.filter(pk=alice.key.pk).update(**{field: value})
    assert error(alice.call("CVProcess")) == expected


@pytest.mark.field("volcengine_cvprocess", "X-Security-Token")
def test_temporary_key_requires_its_session_token(source, checkpoint) -> None:
    key, secret, token = AccessKey.issue_temporary(source, timedelta(hours=1))
    assert is_authenticated(Caller(key, secret, token).call("CVProcess"))
    for wrong in ("", "STSother"):
        assert error(Caller(key, secret, wrong).call("CVProcess")) == (401, "InvalidSecretToken", None)


def test_long_term_key_with_a_session_token_is_refused(alice) -> None:
    alice.token = "STSinvented"
    assert error(alice.call("CVProcess"))[1] == "InvalidSecretToken"


def test_temporary_key_expires(source, checkpoint) -> None:
    key, secret, token = AccessKey.issue_temporary(source, timedelta(seconds=-1))
    assert error(Caller(key, secret, token).call("CVProcess"))[1] == "InvalidAccessKey"


def test_root_without_an_action_redirects_to_the_console(client) -> None:
    assert client.get("/")["Location"] == "/admin/"
    assert client.post("/").status_code == 404


def test_get_is_allowed_for_results_only(alice, style) -> None:
    for action, expected in (("CVGetResult", True), ("CVProcess", False)):
        query = {**QUERY, "Action": action, "req_key": style.key, "task_id": "1" * 19}
        headers = alice.headers(query, b"", method="GET")
        headers = {name: value for name, value in headers.items() if name != "host"}
        response = alice.client.get("/", query, headers=headers)
        assert is_authenticated(response) is expected


@pytest.mark.parametrize("accept", ["application/xml", "text/html", ""])
def test_response_is_json_whatever_the_accept_header(alice, accept) -> None:
    response = alice.send(QUERY, b"{}", alice.headers(QUERY, b"{}") | {"accept": accept})
    assert (response.status_code, response.json()["code"]) == (400, 50201)
