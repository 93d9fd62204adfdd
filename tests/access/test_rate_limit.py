"""Requests per second: a bucket of tokens that all web processes share."""

import pytest

from access.accounts import owner_of_key
from access.authentication import Denied, Reason, authenticate, trusted_source
from access.models import AccessKey, RateBucket
from access.rate_limit import seconds_to_wait

HERE = {"dialect": "a1111", "address": "10.1.2.3"}
NOON = 1_800_000_000.0


@pytest.fixture
def limited(source) -> AccessKey:
    return AccessKey.issue(source, requests_per_second=2, burst=3)[0]


def waits(limits, *moments: float) -> list[int]:
    return [seconds_to_wait("somebody", limits, NOON + moment) for moment in moments]


def test_a_burst_passes_and_then_one_for_each_interval(limited):
    assert waits(limited, 0, 0, 0, 0, 0.4, 0.5, 0.5, 1.0) == [0, 0, 0, 1, 1, 0, 1, 0]


def test_a_pause_fills_the_bucket_and_no_more(limited):
    assert waits(limited, 0, 3600, 3600, 3600, 3600) == [0, 0, 0, 0, 1]


def test_the_wait_is_how_long_it_takes(source):
    slow = AccessKey(source=source, requests_per_second=0.01)
    assert waits(slow, 0, 0, 40, 99.5, 100) == [0, 100, 60, 1, 0]


def test_without_a_burst_as_many_as_in_a_second(source):
    assert waits(AccessKey(source=source, requests_per_second=2.5), 0, 0, 0, 0) == [0, 0, 0, 1]


def test_without_a_rate_nothing_is_asked_of_the_database(source, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert seconds_to_wait("somebody", source, NOON) == 0


def test_a_known_bucket_costs_one_statement(limited, django_assert_num_queries):
    waits(limited, 0)
    with django_assert_num_queries(1):
        assert waits(limited, 1) == [0]


def test_requests_at_the_same_time_share_the_bucket(together, limited):
    answers = together(*[lambda: seconds_to_wait("somebody", limited, NOON)] * 8)
    assert answers.count(0) == 3


# Whom it stops


def test_a_caller_that_is_too_fast_is_told_how_long_to_wait(source):
    key, secret = AccessKey.issue(source, requests_per_second=0.1)
    authenticate(key.key_id, secret, **HERE)
    with pytest.raises(Denied) as denied:
        authenticate(key.key_id, secret, **HERE)
    assert (denied.value.reason, denied.value.retry_after) == (Reason.RATE, 10)


def test_who_proves_nothing_uses_nothing_up(source):
    key, _secret = AccessKey.issue(source, requests_per_second=0.1)
    with pytest.raises(Denied):
        authenticate(key.key_id, "wrong", **HERE)
    assert not RateBucket.objects.exists()


def test_a_source_limits_all_its_keys_together(source):
    source.requests_per_second = 0.1
    source.save()
    keys = [AccessKey.issue(source) for _key in range(2)]
    authenticate(keys[0][0].key_id, keys[0][1], **HERE)
    with pytest.raises(Denied, match="too many requests"):
        authenticate(keys[1][0].key_id, keys[1][1], **HERE)


def test_what_a_key_is_refused_uses_up_nothing_of_its_source(source):
    source.requests_per_second, source.burst = 0.1, 2
    source.save()
    hasty, patient = AccessKey.issue(source, requests_per_second=0.1), AccessKey.issue(source)
    authenticate(hasty[0].key_id, hasty[1], **HERE)
    for _time in range(3):
        with pytest.raises(Denied):
            authenticate(hasty[0].key_id, hasty[1], **HERE)
    assert authenticate(patient[0].key_id, patient[1], **HERE) == patient[0]
    assert RateBucket.objects.filter(pk=owner_of_key(hasty[0].pk)).exists()


def test_a_trusted_network_is_limited_as_well(source):
    source.keyless_networks, source.requests_per_second = ["10.0.0.0/8"], 0.1
    source.save()
    trusted_source("shop", dialect="smzdm", address="10.1.2.3")
    with pytest.raises(Denied, match="too many requests"):
        trusted_source("shop", dialect="smzdm", address="10.1.2.3")
