import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from access.authentication import Denied, authenticate
from access.models import AccessKey


def test_a_temporary_key_works_only_where_its_token_is_sent(source):
    key, secret, _token = AccessKey.issue_temporary(source, timedelta(hours=1))
    with pytest.raises(Denied):
        authenticate(key.key_id, secret, dialect="a1111", address="")


def test_the_command_prints_all_three(source):
    out = StringIO()
    call_command("issue_temporary_key", source.name, stdout=out)
    told = json.loads(out.getvalue())
    key = AccessKey.objects.get(key_id=told["key_id"])
    assert (key.secret, key.session_token) == (told["secret"], told["session_token"])
    assert key.expires_at is not None


@pytest.mark.parametrize("arguments", [("nobody",), ("shop", "--minutes", "0")])
def test_nothing_is_issued_for_nonsense(source, arguments):
    with pytest.raises(CommandError):
        call_command("issue_temporary_key", *arguments)
    assert not AccessKey.objects.exists()
