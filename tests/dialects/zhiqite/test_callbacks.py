"""Callbacks: body, acknowledgement, retries."""

import json

import pytest

from jobs.models.callback import Callback, CallbackState
from tests.dialects.zhiqite.conftest import generation_body
from tests.support.receiving_server import NO, WAITS, YES, wait_for_the_next
from tests.support.receiving_server import work as call_back

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


@pytest.fixture
def receiver(alice, work, web):
    """The receiving server of a finished job's callback, which is due."""
    web.answers["/done"] = NO
    alice.generate(callbackUrl=web.url("/done"))
    work()
    return web


def test_body_is_that_of_the_task_query(alice, receiver):
    receiver.answers["/done"] = YES
    call_back()
    (request,) = receiver.asked
    assert json.loads(request.body) == {"code": "200", "msg": "success", "data": alice.task()}


def test_callback_is_retried_until_it_is_acknowledged(receiver):
    for wait in WAITS[:2]:
        call_back()
        assert wait_for_the_next() == pytest.approx(wait, abs=1)
    receiver.answers["/done"] = YES
    call_back()
    assert len(receiver.asked) == 3
    assert len({request.body for request in receiver.asked}) == 1
    assert Callback.objects.get().state == CallbackState.DELIVERED


def test_callback_is_dead_after_ten_attempts(receiver):
    waits = []
    for _ in range(9):
        call_back()
        waits.append(round(wait_for_the_next()))
    assert waits == [3, 5, 15, 30, 60, 600, 3600, 3600, 3600]
    call_back()
    assert Callback.objects.get().state == CallbackState.DEAD
    assert len(receiver.asked) == 10


def test_callback_url_of_a_local_address_is_refused(alice):
    assert "127.0.0.1" in alice.refused(
        "sd/v2/text2image", generation_body(callbackUrl="http://127.0.0.1:1/")
    )
