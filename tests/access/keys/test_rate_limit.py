"""Rate limit: a token bucket shared by all web processes."""

import pytest

from access.accounts import owner_of_key
from access.keys.authentication import Denied, Reason, authenticate, trusted_source
from access.keys.rate_limit import seconds_to_wait
from access.models import AccessKey, RateBucket

CALLER = {"dialect": "a1111", "address": "10.1.2.3"}
NOON = 1_800_000_000.0


@pytest.fixture
def limited(source) -> AccessKey:
    return AccessKey.issue(source, requests_per_second=2, burst=3)[0]


def wait_times(limits, *moments: float) -> list[int]:
    return [seconds_to_wait("owner", limits, NOON + moment) for moment in moments]


def test_burst_passes_then_one_request_per_interval(limited):
    assert wait_times(limited, 0, 0, 0, 0, 0.4, 0.5, 0.5, 1.0) == [0, 0, 0, 1, 1, 0, 1, 0]


def test_pause_refills_the_bucket_up_to_the_burst_size(limited):
    assert wait_times(limited, 0, 3600, 3600, 3600, 3600) == [0, 0, 0, 0, 1]


def test_wait_is_the_time_until_the_next_token(source):
    slow = AccessKey(source=source, requests_per_second=0.01)
    assert wait_times(slow, 0, 0, 40, 99.5, 100) == [0, 100, 60, 1, 0]


def test_default_burst_is_the_rate_per_second(source):
    assert wait_times(AccessKey(source=source, requests_per_second=2.5), 0, 0, 0, 0) == [0, 0, 0, 1]


def test_without_a_limit_no_query_runs(source, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert seconds_to_wait("owner", source, NOON) == 0


def test_existing_bucket_takes_one_statement(limited, django_assert_num_queries):
    wait_times(limited, 0)
    with django_assert_num_queries(1):
        assert wait_times(limited, 1) == [0]


def test_concurrent_requests_share_the_bucket(together, limited):
    waits = together(*[lambda: seconds_to_wait("owner", limited, NOON)] * 8)
    assert waits.count(0) == 3


# Requests


def test_excess_request_is_denied_with_retry_after(source):
    key, secret = AccessKey.issue(source, requests_per_second=0.1)
    authenticate(key.key_id, secret, **CALLER)
    with pytest.raises(Denied) as denied:
        authenticate(key.key_id, secret, **CALLER)
    assert (denied.value.reason, denied.value.retry_after) == (Reason.RATE, 10)


def test_failed_authentication_takes_no_token(source):
    key, _secret = AccessKey.issue(source, requests_per_second=0.1)
    with pytest.raises(Denied):
        authenticate(key.key_id, "wrong", **CALLER)
    assert not RateBucket.objects.exists()


def test_limit_of_a_source_applies_to_all_its_keys_together(source):
    source.requests_per_second = 0.1
    source.save()
    keys = [AccessKey.issue(source) for _key in range(2)]
    authenticate(keys[0][0].key_id, keys[0][1], **CALLER)
    with pytest.raises(Denied, match="too many requests"):
        authenticate(keys[1][0].key_id, keys[1][1], **CALLER)


def test_request_denied_by_the_limit_of_a_key_takes_no_token_of_the_source(source):
    source.requests_per_second, source.burst = 0.1, 2
    source.save()
    limited_key, other_key = AccessKey.issue(source, requests_per_second=0.1), AccessKey.issue(source)
    authenticate(limited_key[0].key_id, limited_key[1], **CALLER)
    for _time in range(3):
        with pytest.raises(Denied):
            authenticate(limited_key[0].key_id, limited_key[1], **CALLER)
    assert authenticate(other_key[0].key_id, other_key[1], **CALLER) == other_key[0]
    assert RateBucket.objects.filter(pk=owner_of_key(limited_key[0].pk)).exists()


def test_requests_without_a_key_are_limited_too(source):
    source.keyless_networks, source.requests_per_second = ["10.0.0.0/8"], 0.1
    source.save()
    trusted_source("shop", dialect="smzdm", address="10.1.2.3")
    with pytest.raises(Denied, match="too many requests"):
        trusted_source("shop", dialect="smzdm", address="10.1.2.3")
