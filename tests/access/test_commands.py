"""Management commands for sources and keys."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from access.keys.authentication import Denied, authenticate
from access.keys.bearer_tokens import credentials_in
from access.models import AccessKey, BusinessSource


def run(*arguments):
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_source_is_created(db):
    run("create_source", "shop", "--title", "网店", "--weight", "2")
    source = BusinessSource.objects.get()
    assert (source.name, source.title, source.weight) == ("shop", "网店", 2.0)


@pytest.mark.parametrize(
    "arguments", [["no name"], ["shop", "--weight", "0"], ["shop", "--concurrent-jobs", "0"]]
)
def test_invalid_source_is_refused(db, arguments):
    with pytest.raises(CommandError):
        run("create_source", *arguments)
    assert not BusinessSource.objects.exists()


def test_duplicate_source_is_refused(source):
    with pytest.raises(CommandError, match="name"):
        run("create_source", source.name)


def test_created_key_is_limited_to_its_dialects_and_networks(source):
    arguments = ["--dialect", "a1111", "--network", "10.0.0.0/8", "--days", "2"]
    printed = json.loads(run("create_key", "shop", *arguments))
    caller = {"dialect": "a1111", "address": "10.1.1.1"}
    assert authenticate(printed["key_id"], printed["secret"], **caller).source == source
    with pytest.raises(Denied):
        authenticate(printed["key_id"], printed["secret"], dialect="native", address="10.1.1.1")


@pytest.mark.parametrize(
    "arguments",
    [
        ["unknown"],
        ["shop", "--dialect", "a1112"],
        ["shop", "--network", "home"],
        ["shop", "--days", "0"],
        ["shop", "--note", "x" * 201],
    ],
)
def test_invalid_key_is_refused(source, arguments):
    with pytest.raises(CommandError):
        run("create_key", *arguments)
    assert not AccessKey.objects.exists()


def test_key_manages_models_only_if_it_is_created_so(source):
    printed = [json.loads(run("create_key", "shop", *options)) for options in ([], ["--manage-models"])]
    keys = [AccessKey.objects.get(key_id=key["key_id"]) for key in printed]
    assert [key.manages_models for key in keys] == [False, True]
    assert not AccessKey.issue_temporary(source, timedelta(minutes=5))[0].manages_models


def test_rotated_key_has_the_printed_secret(source):
    key, old = AccessKey.issue(source)
    printed = json.loads(run("rotate_key", key.key_id))
    key.refresh_from_db()
    assert key.proves(printed["secret"])
    assert not key.proves(old)


def test_printed_token_is_the_key(source):
    printed = json.loads(run("create_key", "shop"))
    assert credentials_in(printed["token"]) == (printed["key_id"], printed["secret"])
    rotated = json.loads(run("rotate_key", printed["key_id"]))
    assert credentials_in(rotated["token"]) == (printed["key_id"], rotated["secret"])


def test_revoked_key_is_denied_until_it_is_enabled_again(source):
    key, secret = AccessKey.issue(source)
    run("revoke_key", key.key_id)
    with pytest.raises(Denied):
        authenticate(key.key_id, secret, dialect="a1111", address="::1")
    run("revoke_key", key.key_id, "--undo")
    assert authenticate(key.key_id, secret, dialect="a1111", address="::1")


@pytest.mark.parametrize("command", ["rotate_key", "revoke_key"])
def test_unknown_key_is_reported(db, command):
    with pytest.raises(CommandError, match="access key not found"):
        run(command, "ak-0")


def test_keys_are_listed_without_secrets(source, other_source):
    key, secret = AccessKey.issue(source, note="web")
    AccessKey.issue(other_source)
    text = run("list_keys", "--source", "shop", "--json")
    assert [row["key_id"] for row in json.loads(text)] == [key.key_id]
    assert secret not in text
    assert len(run("list_keys").splitlines()) == 2


def test_sources_are_listed_with_their_keys(source, key):
    (row,) = json.loads(run("list_sources", "--json"))
    assert (row["name"], row["enabled_keys"]) == ("shop", 1)
    assert run("list_sources").startswith("shop\t")


def test_limits_of_a_source_are_set_and_removed(source):
    json.loads(run("set_limits", "shop", "images_per_day=10", "networks=10.0.0.0/8,192.168.0.0/16"))
    printed = json.loads(run("set_limits", "shop", "images_per_day=", "total_budget=12.5"))
    source.refresh_from_db()
    assert (source.images_per_day, source.total_budget) == (None, Decimal("12.5"))
    assert source.networks == printed["networks"] == ["10.0.0.0/8", "192.168.0.0/16"]


def test_limits_of_a_key_are_set_by_its_id(source):
    key, _secret = AccessKey.issue(source)
    run("set_limits", key.key_id, "allowed_models=checkpoint:shapes,lora:", "expires_at=2030-01-01 00:00")
    key.refresh_from_db()
    assert key.allowed_models == ["checkpoint:shapes", "lora:"]
    assert key.expires_at == datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "limit",
    [
        "images=1",
        "images_per_day=many",
        "images_per_day=-1",
        "max_queued_jobs=",
        "networks=home",
        "dialects=a1112",
        "burst=5",
        "max_width=9999",
        "name=other",
    ],
)
def test_invalid_limit_changes_nothing(source, limit):
    with pytest.raises(CommandError):
        run("set_limits", "shop", "images_per_month=7", limit)
    source.refresh_from_db()
    assert (source.name, source.images_per_month) == ("shop", None)


def test_limits_are_printed_without_a_change(source):
    assert json.loads(run("set_limits", "shop"))["max_queued_jobs"] == source.max_queued_jobs
