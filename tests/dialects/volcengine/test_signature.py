"""Verification of signatures as three SDKs make them."""

import hashlib
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.volcengine import signature
from dialects.volcengine.signature import Scope, Signed, SignedRequest
from tests.support.volcengine_signer import with_signature

QUERY = (("Action", "CVProcess"), ("Version", "2022-08-31"))
BODY = (
    b'{"req_key": "img2img_pastel_boys_style_usage", "image_urls": ["https://x/y.png"], '
    b'"prompt": "\\u5929\\u4f7f"}'
)
DATE = "20261121T015355Z"
RECORDED = (
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


def test_recorded_request_of_an_sdk_is_verified() -> None:
    signed = signature.parse_header(RECORDED, DATE)
    assert (signed.key_id, str(signed.scope)) == ("AKLTexample", "20261121/cn-north-1/cv/request")
    assert signature.verify(signed, SignedRequest(**SENT), "c2VjcmV0")
    assert not signature.verify(signed, SignedRequest(**SENT), "another secret")


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("method", "PUT"),
        ("query", (("Action", "Other"),)),
        ("headers", {**SENT["headers"], "host": "127.0.0.1:33174"}),
        ("body", BODY + b" "),
    ],
)
def test_change_of_a_signed_part_invalidates_the_signature(part, other) -> None:
    signed = signature.parse_header(RECORDED, DATE)
    assert not signature.verify(signed, SignedRequest(**{**SENT, part: other}), "c2VjcmV0")


def test_spaces_around_header_values_are_removed() -> None:
    headers = {**SENT["headers"], "content-type": "  application/json "}
    assert signature.verify(
        signature.parse_header(RECORDED, DATE), SignedRequest(**{**SENT, "headers": headers}), "c2VjcmV0"
    )


@pytest.mark.parametrize("value", ["a b", "a  b", "a\tb", "a \t  b"])
def test_spaces_inside_header_values_are_signed_as_they_are(value) -> None:
    """The vendor's SDKs trim the ends only; the canonical request is written out here as they build it."""
    body_hash = hashlib.sha256(BODY).hexdigest()
    canonical = f"POST\n/\nAction=CVProcess\nx-date:{DATE}\nx-note:{value}\n\nx-date;x-note\n{body_hash}"
    scope = Scope(DATE[:8], "cn-north-1", "cv")
    signed = Signed("key", scope, DATE, "", ("x-date", "x-note"))
    made = signature.signature(signature.signing_key("secret", scope), signed, canonical)
    sent = SignedRequest(
        "POST", "/", (("Action", "CVProcess"),), {"x-date": DATE, "x-note": f" {value} "}, BODY
    )
    assert signature.verify(replace(signed, signature=made), sent, "secret")


@pytest.mark.parametrize(
    "date", ["", "20261121", "20261321T000000Z", "２0261121T015355Z", "20261121T015355Z "]
)
def test_date_in_another_format_is_none(date) -> None:
    assert signature.parse_date(date) is None


def with_secret(secret: str, sent: SignedRequest) -> Signed:
    signed = Signed("key", Scope(DATE[:8], "cn-north-1", "cv"), DATE, "", ("x-date",))
    return signature.parse_header(with_signature(secret, signed, sent)["authorization"], DATE)


@given(
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=8)), max_size=4),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
    st.binary(max_size=40),
)
def test_only_the_signed_request_is_verified(query, secret, body) -> None:
    sent = SignedRequest("POST", "/", tuple(query), {"x-date": DATE}, body)
    signed = with_secret(secret, sent)
    assert signature.verify(signed, sent, secret)
    assert not signature.verify(signed, sent, secret + "x")
    assert not signature.verify(
        signed, SignedRequest("POST", "/", sent.query, sent.headers, body + b"x"), secret
    )


@given(st.text(max_size=80))
def test_no_header_breaks_the_parser(text) -> None:
    for header in (text, f"HMAC-SHA256 {text}", f"HMAC-SHA256 Credential={text}, Signature={text}"):
        try:
            read = signature.parse_header(header, text)
        except ValueError:
            continue
        assert not signature.verify(read, SignedRequest("POST", "/", tuple(parse_qsl(text)), {}), "secret")
