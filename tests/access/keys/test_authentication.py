from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from access.keys.authentication import Denied, Reason, authenticate
from access.models import AccessKey, BusinessSource

CALLER = {"dialect": "a1111", "address": "10.1.2.3"}


def reason_for(key: AccessKey, secret: str, **caller: str) -> Reason:
    with pytest.raises(Denied) as denied:
        authenticate(key.key_id, secret, **CALLER | caller)
    return denied.value.reason


def test_id_and_secret_return_the_key_with_its_source(source, django_assert_num_queries):
    key, secret = AccessKey.issue(source)
    with django_assert_num_queries(2):  # read the key, and record its use
        assert authenticate(key.key_id, secret, **CALLER).source == source


@pytest.mark.parametrize("key_id", ["unknown", "", "a\0b", "x" * 500, "键"])
def test_unknown_id_is_denied(source, key_id):
    with pytest.raises(Denied) as denied:
        authenticate(key_id, "whatever", **CALLER)
    assert denied.value.reason == Reason.UNKNOWN_KEY


@pytest.mark.parametrize("secret", ["", "wrong", "\udcff", "键\0"])
def test_wrong_secret_is_denied(source, secret):
    key, _secret = AccessKey.issue(source)
    assert reason_for(key, secret) == Reason.WRONG_SECRET


def test_wrong_secret_does_not_reveal_that_the_key_is_disabled(source):
    key, _secret = AccessKey.issue(source, enabled=False)
    assert reason_for(key, "wrong") == Reason.WRONG_SECRET


def test_disabled_key_is_denied(source):
    assert reason_for(*AccessKey.issue(source, enabled=False)) == Reason.DISABLED_KEY


def test_key_of_a_disabled_source_is_denied(source):
    key, secret = AccessKey.issue(source)
    BusinessSource.objects.update(enabled=False)
    assert reason_for(key, secret) == Reason.DISABLED_SOURCE


def test_expired_key_is_denied(source):
    assert reason_for(*AccessKey.issue(source, expires_at=timezone.now())) == Reason.EXPIRED


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"expires_at": timezone.now()}, Reason.EXPIRED_SOURCE),
        ({"dialects": ["volcengine"]}, Reason.DIALECT),
        ({"networks": ["192.168.0.0/16"]}, Reason.ADDRESS),
    ],
)
def test_limits_of_the_source_apply_to_its_keys(source, limit, reason):
    key, secret = AccessKey.issue(source, dialects=["a1111"], networks=["10.0.0.0/8"])
    BusinessSource.objects.update(**limit)
    assert reason_for(key, secret) == reason


def test_key_is_restricted_to_its_dialects(source):
    key, secret = AccessKey.issue(source, dialects=["volcengine"])
    assert reason_for(key, secret) == Reason.DIALECT
    assert authenticate(key.key_id, secret, dialect="volcengine", address="10.1.2.3") == key


@pytest.mark.parametrize("address", ["11.0.0.1", "::1", "", "not an address"])
def test_key_is_denied_outside_its_networks(source, address):
    key, secret = AccessKey.issue(source, networks=["10.0.0.0/8"])
    assert reason_for(key, secret, address=address) == Reason.ADDRESS


@pytest.mark.parametrize("address", ["10.9.9.9", "::ffff:10.9.9.9"])
def test_key_is_accepted_inside_its_networks(source, address):
    key, secret = AccessKey.issue(source, networks=["10.0.0.0/8"])
    assert authenticate(key.key_id, secret, dialect="a1111", address=address) == key


def test_use_is_recorded_at_most_once_a_minute(source):
    key, secret = AccessKey.issue(source)
    authenticate(key.key_id, secret, **CALLER)
    first = AccessKey.objects.get().last_used_at
    authenticate(key.key_id, secret, **CALLER)
    assert AccessKey.objects.get().last_used_at == first
    AccessKey.objects.update(last_used_at=first - timedelta(minutes=2))
    authenticate(key.key_id, secret, **CALLER)
    assert AccessKey.objects.get().last_used_at >= first


def test_rotation_invalidates_the_old_secret(source):
    key, old = AccessKey.issue(source)
    new = key.rotate()
    assert reason_for(key, old) == Reason.WRONG_SECRET
    assert authenticate(key.key_id, new, **CALLER) == key


def test_secret_is_encrypted_in_the_database_and_absent_from_repr(source):
    key, secret = AccessKey.issue(source)
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM access_accesskey")
        assert secret not in cursor.fetchone()[0]
    assert secret not in repr(key)
