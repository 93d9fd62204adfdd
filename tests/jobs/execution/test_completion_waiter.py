import threading
import time
import uuid

import pytest

from jobs.admission.admit import admit
from jobs.execution import completion_waiter, lifecycle
from jobs.execution.completion_waiter import Watcher, wait_for
from jobs.models import Job, State

pytestmark = pytest.mark.slow

EVER_S = 3600.0  # longer than any test may take
LONG_S = 60.0  # only so that a waiter that is never woken fails its test


@pytest.fixture(autouse=True)
def watcher(monkeypatch):
    """A watcher that ends with its last waiter, so that none of its queries falls into the next test."""
    monkeypatch.setattr(completion_waiter, "IDLE_TIMEOUT_S", 0.0)
    monkeypatch.setattr(completion_waiter, "_watcher", Watcher())
    yield
    for thread in threading.enumerate():
        if thread.name == "job-watcher":
            thread.join()


def when_waited_for(job: Job) -> None:
    while job.pk not in completion_waiter._watcher._waiters:
        time.sleep(0.005)


def ended_by(job: Job):
    def end() -> None:
        when_waited_for(job)
        time.sleep(0.1)  # the waiter has read the state, and waits
        lifecycle.cancel(job.pk)

    return end


def test_waiter_is_woken_by_the_end_of_its_job(together, job):
    waited, _ended = together(lambda: wait_for(job.pk, LONG_S), ended_by(job))
    assert waited.state == State.CANCELLED


def test_many_waiters_share_one_watcher(together, submission):
    jobs = [admit(submission()) for _number in range(4)]
    waits = [lambda job=job: wait_for(job.pk, LONG_S) for job in [*jobs, *jobs]]
    watchers = []

    def end() -> None:
        for job in jobs:
            when_waited_for(job)
        watchers.extend(thread for thread in threading.enumerate() if thread.name == "job-watcher")
        for job in jobs:
            lifecycle.cancel(job.pk)

    *waited, _ended = together(*waits, end)
    assert [job.state for job in waited] == [State.CANCELLED] * 8
    assert len(watchers) == 1


def test_waiter_of_another_job_is_not_woken(together, submission):
    job, other = admit(submission()), admit(submission())
    _end, waited = together(ended_by(job), lambda: (wait_for(job.pk, LONG_S), wait_for(other.pk, 0.1)))
    assert [job.state for job in waited] == [State.CANCELLED, State.QUEUED]


@pytest.mark.django_db(transaction=True)
def test_ended_job_is_not_waited_for(job):
    lifecycle.cancel(job.pk)
    assert wait_for(job.pk, LONG_S).state == State.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_time_out_gives_the_job_as_it_is(job):
    assert wait_for(job.pk, 0.05).state == State.QUEUED


@pytest.mark.django_db(transaction=True)
def test_unknown_job_is_not_waited_for():
    with pytest.raises(Job.DoesNotExist):
        wait_for(uuid.uuid4(), EVER_S)


def test_end_without_a_notification_is_found_by_polling(together, job, monkeypatch):
    monkeypatch.setattr(completion_waiter, "POLL_S", 0.05)

    def end() -> None:
        when_waited_for(job)
        time.sleep(0.1)  # the watcher has polled
        Job.objects.update(state=State.CANCELLED)

    waited, _ended = together(lambda: wait_for(job.pk, EVER_S), end)
    assert waited.state == State.CANCELLED


def test_watcher_that_lost_the_database_polls_again(together, job, monkeypatch):
    monkeypatch.setattr(completion_waiter, "POLL_S", 0.05)
    looks = Watcher._ended
    failures = iter([completion_waiter.DatabaseError("gone")])

    def look_that_fails_once(watcher: Watcher, awaited):
        for failure in failures:
            raise failure
        return looks(watcher, awaited)

    monkeypatch.setattr(Watcher, "_ended", look_that_fails_once)
    waited, _ended = together(lambda: wait_for(job.pk, LONG_S), ended_by(job))
    assert waited.state == State.CANCELLED
