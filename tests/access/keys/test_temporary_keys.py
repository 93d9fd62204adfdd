"""Temporary access keys with session tokens."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from access.keys.authentication import Denied, authenticate
from access.models import AccessKey


def test_temporary_key_requires_its_token(source):
    key, secret, _token = AccessKey.issue_temporary(source, timedelta(hours=1))
    with pytest.raises(Denied):
        authenticate(key.key_id, secret, dialect="a1111", address="")


def test_command_prints_key_id_secret_and_token(source):
    out = StringIO()
    call_command("issue_temporary_key", source.name, stdout=out)
    printed = json.loads(out.getvalue())
    key = AccessKey.objects.get(key_id=printed["key_id"])
    assert (key.secret, key.session_token) == (printed["secret"], printed["session_token"])
    assert key.expires_at is not None


@pytest.mark.parametrize("arguments", [("unknown",), ("shop", "--minutes", "0")])
def test_invalid_arguments_create_no_key(source, arguments):
    with pytest.raises(CommandError):
        call_command("issue_temporary_key", *arguments)
    assert not AccessKey.objects.exists()
