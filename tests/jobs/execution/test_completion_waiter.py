import threading
import time
import uuid

import pytest
from django.db import DatabaseError

from jobs.admission.admit import admit
from jobs.execution import completion_waiter, lifecycle, notifications
from jobs.execution.completion_waiter import wait_for
from jobs.models import Job, State

pytestmark = pytest.mark.slow

FOREVER_S = 3600.0  # longer than the timeout of a test
TIMEOUT_S = 60.0  # a waiter that is never woken fails its test after this time


@pytest.fixture(autouse=True)
def watcher(monkeypatch):
    """The watcher thread exits with its last waiter, so that none of its queries runs in the next test."""
    monkeypatch.setattr(completion_waiter, "IDLE_TIMEOUT_S", 0.0)
    yield
    for thread in threading.enumerate():
        if thread.name == "job-watcher":
            thread.join()


def wait_until_waited_for(job: Job) -> None:
    while not completion_waiter.is_waited_for(job.pk):
        time.sleep(0.005)


def canceller_of(job: Job):
    def end() -> None:
        wait_until_waited_for(job)
        time.sleep(0.1)  # the waiter has read the state, and waits
        lifecycle.cancel(job.pk)

    return end


def test_waiter_is_woken_by_the_end_of_its_job(together, job):
    waited, _ended = together(lambda: wait_for(job.pk, TIMEOUT_S), canceller_of(job))
    assert waited.state == State.CANCELLED


def test_many_waiters_share_one_watcher(together, submission):
    jobs = [admit(submission()) for _number in range(4)]
    waits = [lambda job=job: wait_for(job.pk, TIMEOUT_S) for job in [*jobs, *jobs]]
    watchers = []

    def end() -> None:
        for job in jobs:
            wait_until_waited_for(job)
        watchers.extend(thread for thread in threading.enumerate() if thread.name == "job-watcher")
        for job in jobs:
            lifecycle.cancel(job.pk)

    *waited, _ended = together(*waits, end)
    assert [job.state for job in waited] == [State.CANCELLED] * 8
    assert len(watchers) == 1


def test_waiter_of_another_job_is_not_woken(together, submission):
    job, other = admit(submission()), admit(submission())
    _end, waited = together(canceller_of(job), lambda: (wait_for(job.pk, TIMEOUT_S), wait_for(other.pk, 0.1)))
    assert [job.state for job in waited] == [State.CANCELLED, State.QUEUED]


@pytest.mark.django_db(transaction=True)
def test_ended_job_is_returned_at_once(job):
    lifecycle.cancel(job.pk)
    assert wait_for(job.pk, TIMEOUT_S).state == State.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_timeout_returns_the_unfinished_job(job):
    assert wait_for(job.pk, 0.05).state == State.QUEUED


@pytest.mark.django_db(transaction=True)
def test_unknown_job_raises():
    with pytest.raises(Job.DoesNotExist):
        wait_for(uuid.uuid4(), FOREVER_S)


def test_end_without_a_notification_is_found_by_polling(together, job, monkeypatch):
    monkeypatch.setattr(completion_waiter, "POLL_S", 0.05)

    def end() -> None:
        wait_until_waited_for(job)
        time.sleep(0.1)  # the watcher has polled
        Job.objects.update(state=State.CANCELLED)

    waited, _ended = together(lambda: wait_for(job.pk, FOREVER_S), end)
    assert waited.state == State.CANCELLED


def test_watcher_retries_after_a_database_error(together, job, monkeypatch):
    monkeypatch.setattr(completion_waiter, "POLL_S", 0.05)
    failures = iter([DatabaseError("gone")])
    real_listener = notifications.listener

    def listener_that_fails_once(channel: str) -> notifications.Listener:
        listener = real_listener(channel)
        real_open = listener.open

        def open_after_failures() -> None:
            for failure in failures:
                raise failure
            real_open()

        monkeypatch.setattr(listener, "open", open_after_failures)
        return listener

    monkeypatch.setattr(notifications, "listener", listener_that_fails_once)
    waited, _ended = together(lambda: wait_for(job.pk, TIMEOUT_S), canceller_of(job))
    assert waited.state == State.CANCELLED
