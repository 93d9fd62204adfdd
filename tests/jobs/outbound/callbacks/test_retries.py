import pydoc
import ssl
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from jobs.execution import lifecycle
from jobs.models.callback import Callback, CallbackState
from jobs.outbound.callbacks import outbox
from jobs.outbound.callbacks.delivery import deliver
from tests.support.certificates import write_self_signed
from tests.support.receiving_server import NO, WAITS, YES, due, wait_for_the_next, work
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.slow

# Retries


def test_retries_have_the_same_body_and_id(calling, receiver):
    receiver.answers["/done"] = NO
    lifecycle.cancel(calling().pk)
    work()
    wait_for_the_next()
    receiver.answers["/done"] = YES
    work()
    first, second = receiver.asked
    assert first.body == second.body
    assert first.headers["x-atelier-callback-id"] == second.headers["x-atelier-callback-id"]
    assert [line.acknowledged for line in Callback.objects.get().history.all()] == [False, True]


def test_retries_follow_the_schedule_and_end(calling, receiver):
    receiver.answers["/done"] = NO
    lifecycle.cancel(calling().pk)
    waits = []
    while work() and OrmQ.objects.exists():
        waits.append(wait_for_the_next())
    assert waits == [*WAITS, 3600, 3600]
    callback = Callback.objects.get()
    assert (callback.state, callback.attempts, callback.last_excerpt) == (
        CallbackState.DEAD,
        10,
        '{"code": "500"}',
    )
    assert callback.history.count() == len(receiver.asked) == 10


@pytest.mark.parametrize("status", [301, 400, 500])
def test_errors_and_redirects_do_not_acknowledge(calling, receiver, status):
    receiver.answers["/done"] = answer(status, b'{"code": "200"}', Location="/elsewhere")
    lifecycle.cancel(calling().pk)
    work()
    callback = Callback.objects.get()
    assert (callback.state, callback.last_status) == (CallbackState.PENDING, status)
    assert [request.path for request in receiver.asked] == ["/done"]


def test_unreachable_receiver_is_retried(calling, receiver):
    lifecycle.cancel(calling().pk)
    receiver.close()
    work()
    callback = Callback.objects.get()
    assert (callback.state, callback.last_status) == (CallbackState.PENDING, None)
    assert "cannot be reached" in callback.last_excerpt


def test_receiver_at_a_forbidden_address_is_not_called(calling, receiver, source):
    lifecycle.cancel(calling().pk)
    source.reachable = []
    source.save()
    work()
    assert receiver.asked == []
    assert "neither public nor allowed" in Callback.objects.get().last_excerpt


def test_error_while_building_the_body_is_retried_and_not_revealed(calling, receiver):
    lifecycle.cancel(calling().pk)
    Callback.objects.update(extra={})
    work()
    callback = Callback.objects.get()
    assert (callback.state, callback.last_excerpt) == (CallbackState.PENDING, "internal error")
    assert receiver.asked == []


def test_binary_response_is_stored_as_a_truncated_excerpt(calling, receiver):
    receiver.answers["/done"] = answer(200, b"\0\xff" + b"x" * 100_000)
    lifecycle.cancel(calling().pk)
    work()
    excerpt = Callback.objects.get().last_excerpt
    assert (len(excerpt), excerpt[:3]) == (300, "\ufffd\ufffdx")


# Exactly once


def test_two_workers_never_send_the_same_attempt(calling, receiver, runner, together):
    lifecycle.cancel(calling().pk)
    callback = Callback.objects.get()
    together(*[lambda: deliver(str(callback.pk), 0)] * 4)
    assert len(receiver.asked) == 1


def test_duplicate_task_is_ignored(calling, receiver):
    lifecycle.cancel(calling().pk)
    (entry,) = due()
    work()
    entry.save(force_insert=True)
    work()
    assert len(receiver.asked) == 1


def test_no_transaction_is_open_during_the_call(calling, receiver, transactional_db):
    """The receiver writes to the row of the callback, which would block."""

    def write(handler):
        Callback.objects.update(headers={"X-Seen": "1"})
        connection.close()
        YES(handler)

    receiver.answers["/done"] = write
    lifecycle.cancel(calling().pk)
    work()
    assert Callback.objects.get().state == CallbackState.DELIVERED


def test_callback_of_a_dead_sender_is_requeued(calling, receiver):
    lifecycle.cancel(calling().pk)
    OrmQ.objects.all().delete()
    past = timezone.now() - timedelta(seconds=1)
    Callback.objects.update(state=CallbackState.SENDING, attempts=1, tries=1, next_at=past)
    assert outbox.sweep() == 1
    work()
    callback = Callback.objects.get()
    assert (callback.state, callback.attempts) == (CallbackState.DELIVERED, 2)


def test_lost_task_is_requeued(calling, receiver):
    lifecycle.cancel(calling().pk)
    OrmQ.objects.all().delete()
    assert outbox.sweep() == 0
    Callback.objects.update(next_at=timezone.now() - timedelta(minutes=2))
    assert outbox.sweep() == 1
    work()
    assert Callback.objects.get().state == CallbackState.DELIVERED


def test_sweep_is_on_the_schedule(db):
    schedule = Schedule.objects.get(name="sweep of callbacks")
    assert pydoc.locate(schedule.func) is outbox.sweep


def test_callback_of_a_deleted_job_is_not_sent(calling, receiver):
    job = calling()
    lifecycle.cancel(job.pk)
    job.delete()
    assert work() == 1
    assert receiver.asked == []


# Replay


@pytest.mark.parametrize("reply", [YES, NO])
def test_replay_restarts_the_retries_and_keeps_the_history(calling, receiver, reply):
    receiver.answers["/done"] = reply
    lifecycle.cancel(calling().pk)
    while work() and OrmQ.objects.exists():
        wait_for_the_next()
    callback = Callback.objects.get()
    before = callback.attempts
    receiver.answers["/done"] = YES
    assert outbox.replay(callback)
    work()
    callback.refresh_from_db()
    assert (callback.state, callback.attempts, callback.tries) == (CallbackState.DELIVERED, before + 1, 1)
    assert callback.history.count() == before + 1


def test_undelivered_callback_cannot_be_replayed(calling):
    job = calling()
    assert not outbox.replay(Callback.objects.get())
    lifecycle.cancel(job.pk)
    assert not outbox.replay(Callback.objects.get())


def test_untrusted_certificate_is_told_apart_from_an_unreachable_receiver(calling, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write_self_signed(tmp_path / "server.pem", "receiver.test"))
    receiver = WebServer(context)
    lifecycle.cancel(calling().pk)
    Callback.objects.update(url=receiver.url("/done", scheme="https"))
    work()
    receiver.close()
    excerpt = Callback.objects.get().last_excerpt
    assert (
        excerpt
        == "The certificate of 127.0.0.1 is not trusted: self-signed certificate. See docs/outside.md."
    )
    assert receiver.asked == []
