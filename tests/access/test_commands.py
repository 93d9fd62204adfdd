"""What a script does for sources and keys, as the console does it for people."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from access.authentication import Denied, authenticate
from access.models import AccessKey, BusinessSource


def run(*words):
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_a_source_is_created(db):
    run("create_source", "shop", "--title", "网店", "--weight", "2")
    source = BusinessSource.objects.get()
    assert (source.name, source.title, source.weight) == ("shop", "网店", 2.0)


@pytest.mark.parametrize(
    "words", [["no name"], ["shop", "--weight", "0"], ["shop", "--concurrent-jobs", "0"]]
)
def test_a_source_that_the_form_would_refuse_is_refused(db, words):
    with pytest.raises(CommandError):
        run("create_source", *words)
    assert not BusinessSource.objects.exists()


def test_a_source_is_created_once(source):
    with pytest.raises(CommandError, match="name"):
        run("create_source", source.name)


def test_a_created_key_opens_the_doors_that_it_may(source):
    words = ["--dialect", "a1111", "--network", "10.0.0.0/8", "--days", "2"]
    told = json.loads(run("create_key", "shop", *words))
    used = {"dialect": "a1111", "address": "10.1.1.1"}
    assert authenticate(told["key_id"], told["secret"], **used).source == source
    with pytest.raises(Denied):
        authenticate(told["key_id"], told["secret"], dialect="native", address="10.1.1.1")


@pytest.mark.parametrize(
    "words",
    [
        ["nobody"],
        ["shop", "--dialect", "a1112"],
        ["shop", "--network", "home"],
        ["shop", "--days", "0"],
        ["shop", "--note", "x" * 201],
    ],
)
def test_a_key_that_the_form_would_refuse_is_refused(source, words):
    with pytest.raises(CommandError):
        run("create_key", *words)
    assert not AccessKey.objects.exists()


def test_a_rotated_key_has_the_printed_secret(source):
    key, old = AccessKey.issue(source)
    told = json.loads(run("rotate_key", key.key_id))
    key.refresh_from_db()
    assert key.proves(told["secret"])
    assert not key.proves(old)


def test_a_revoked_key_opens_nothing_until_that_is_undone(source):
    key, secret = AccessKey.issue(source)
    run("revoke_key", key.key_id)
    with pytest.raises(Denied):
        authenticate(key.key_id, secret, dialect="a1111", address="::1")
    run("revoke_key", key.key_id, "--undo")
    assert authenticate(key.key_id, secret, dialect="a1111", address="::1")


@pytest.mark.parametrize("command", ["rotate_key", "revoke_key"])
def test_a_key_that_is_not_there_is_said_to_be_so(db, command):
    with pytest.raises(CommandError, match="there is no key"):
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


def test_limits_of_a_source_are_raised_and_taken_away(source):
    json.loads(run("set_limits", "shop", "images_per_day=10", "networks=10.0.0.0/8,192.168.0.0/16"))
    told = json.loads(run("set_limits", "shop", "images_per_day=", "total_budget=12.5"))
    source.refresh_from_db()
    assert (source.images_per_day, source.total_budget) == (None, Decimal("12.5"))
    assert source.networks == told["networks"] == ["10.0.0.0/8", "192.168.0.0/16"]


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
def test_a_limit_that_the_form_would_refuse_changes_nothing(source, limit):
    with pytest.raises(CommandError):
        run("set_limits", "shop", "images_per_month=7", limit)
    source.refresh_from_db()
    assert (source.name, source.images_per_month) == ("shop", None)


def test_limits_are_told_without_a_change(source):
    assert json.loads(run("set_limits", "shop"))["max_queued_jobs"] == source.max_queued_jobs
