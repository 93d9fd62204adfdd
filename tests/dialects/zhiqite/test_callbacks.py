import json

import pytest

from jobs.models.callback import Callback, CallbackState
from tests.dialects.zhiqite.conftest import drawing
from tests.support.receiving_server import NO, WAITS, YES, wait_for_the_next
from tests.support.receiving_server import work as call_back


@pytest.fixture
def called(alice, work, web):
    """A job that is done, and whose callback is due."""
    web.answers["/done"] = NO
    alice.draw(callbackUrl=web.url("/done"))
    work()
    return web


def test_the_client_is_told_what_it_would_be_told_if_it_asked(alice, called):
    called.answers["/done"] = YES
    call_back()
    (asked,) = called.asked
    assert json.loads(asked.body) == {"code": "200", "msg": "success", "data": alice.task()}


def test_a_receiver_that_refuses_twice_is_called_a_third_time(called):
    for wait in WAITS[:2]:
        call_back()
        assert wait_for_the_next() == pytest.approx(wait, abs=1)
    called.answers["/done"] = YES
    call_back()
    assert len(called.asked) == 3
    assert len({asked.body for asked in called.asked}) == 1
    assert Callback.objects.get().state == CallbackState.DELIVERED


def test_it_is_given_up_after_ten_tries(called):
    waits = []
    for _ in range(9):
        call_back()
        waits.append(round(wait_for_the_next()))
    assert waits == [3, 5, 15, 30, 60, 600, 3600, 3600, 3600]
    call_back()
    assert Callback.objects.get().state == CallbackState.DEAD
    assert len(called.asked) == 10


def test_a_callback_into_our_own_network_is_refused_at_once(alice):
    assert "127.0.0.1" in alice.refused("sd/v2/text2image", drawing(callbackUrl="http://127.0.0.1:1/"))
