"""Signatures as three SDKs make them. Nothing but what was sent, and a secret."""

import hashlib
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.volcengine import signature
from dialects.volcengine.signature import Scope, Signed, SignedRequest
from tests.dialects.volcengine.conftest import with_signature

QUERY = (("Action", "CVProcess"), ("Version", "2022-08-31"))
BODY = (
    b'{"req_key": "img2img_pastel_boys_style_usage", "image_urls": ["https://x/y.png"], '
    b'"prompt": "\\u5929\\u4f7f"}'
)
DATE = "20261121T015355Z"
SEEN = (
    "HMAC-SHA256 Credential=AKLTexample/20261121/cn-north-1/cv/request, SignedHeaders=content-type;host;"
    "x-content-sha256;x-date;x-security-token, "
    "Signature=871b8fc0defc1b94fdc32a2a50b822aa7a6bbed9a5ea493908de55be6af6606f"
)
SENT = {
    "method": "POST",
    "path": "/",
    "query": QUERY,
    "headers": {
        "host": "127.0.0.1:33173",
        "content-type": "application/json",
        "x-date": DATE,
        "x-security-token": "STS2tok",
        "x-content-sha256": hashlib.sha256(BODY).hexdigest(),
    },
    "body": BODY,
}


def test_the_request_that_an_sdk_was_seen_to_send() -> None:
    signed = signature.of_header(SEEN, DATE)
    assert (signed.key_id, str(signed.scope)) == ("AKLTexample", "20261121/cn-north-1/cv/request")
    assert signature.is_right(signed, SignedRequest(**SENT), "c2VjcmV0")
    assert not signature.is_right(signed, SignedRequest(**SENT), "another secret")


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("method", "PUT"),
        ("query", (("Action", "Other"),)),
        ("headers", {**SENT["headers"], "host": "127.0.0.1:33174"}),
        ("body", BODY + b" "),
    ],
)
def test_each_signed_part_counts(part, other) -> None:
    signed = signature.of_header(SEEN, DATE)
    assert not signature.is_right(signed, SignedRequest(**{**SENT, part: other}), "c2VjcmV0")


def test_runs_of_spaces_in_headers_count_as_one() -> None:
    headers = {**SENT["headers"], "content-type": "  application/json "}
    assert signature.is_right(
        signature.of_header(SEEN, DATE), SignedRequest(**{**SENT, "headers": headers}), "c2VjcmV0"
    )


@pytest.mark.parametrize(
    "date", ["", "20261121", "20261321T000000Z", "２0261121T015355Z", "20261121T015355Z "]
)
def test_a_date_in_another_form_is_none(date) -> None:
    assert signature.moment(date) is None


def with_secret(secret: str, sent: SignedRequest) -> Signed:
    signed = Signed("key", Scope(DATE[:8], "cn-north-1", "cv"), DATE, "", ("x-date",))
    return signature.of_header(with_signature(secret, signed, sent)["authorization"], DATE)


@given(
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=8)), max_size=4),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
    st.binary(max_size=40),
)
def test_what_was_signed_is_right_and_nothing_else_is(query, secret, body) -> None:
    sent = SignedRequest("POST", "/", tuple(query), {"x-date": DATE}, body)
    signed = with_secret(secret, sent)
    assert signature.is_right(signed, sent, secret)
    assert not signature.is_right(signed, sent, secret + "x")
    assert not signature.is_right(
        signed, SignedRequest("POST", "/", sent.query, sent.headers, body + b"x"), secret
    )


@given(st.text(max_size=80))
def test_no_header_breaks_the_parser(text) -> None:
    for header in (text, f"HMAC-SHA256 {text}", f"HMAC-SHA256 Credential={text}, Signature={text}"):
        try:
            read = signature.of_header(header, text)
        except ValueError:
            continue
        assert not signature.is_right(read, SignedRequest("POST", "/", tuple(parse_qsl(text)), {}), "secret")
