"""The two forms of a bearer token."""

import re

import pytest

from access.keys.bearer_tokens import bearer_credentials, opaque_token


@pytest.mark.parametrize("secret", ["s", "se", "sec", "with:colon", "ü🎨", ""])
def test_opaque_token_is_read_back(secret):
    token = opaque_token("ak-0123", secret)
    assert re.fullmatch(r"sk-[A-Za-z0-9_-]+", token)
    assert bearer_credentials(f"Bearer {token}") == ("ak-0123", secret)


def test_plain_form_is_read():
    assert bearer_credentials("bearer  ak-1:a:b ") == ("ak-1", "a:b")
    assert bearer_credentials("Bearer sk-looks:opaque") == ("sk-looks", "opaque")


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Digest a", "ak-1:secret"])
def test_other_schemes_are_not_read(header):
    assert bearer_credentials(header) is None


@pytest.mark.parametrize("token", ["sk-", "sk-a", "sk-é", "sk-!!!!", "sk-____", "sk-\udcff"])
def test_malformed_token_is_no_key(token):
    assert bearer_credentials(f"Bearer {token}") == ("", "")
