import pytest
from django.db import InterfaceError, OperationalError, connection

from jobs.admission.admit import admit
from jobs.execution import lifecycle, outages
from jobs.execution.completion_waiter import wait_for
from jobs.execution.outages import through_outage
from jobs.models import State
from jobs.tasks import run_job
from tests.support import fake_runner as behaviors

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_delay(transactional_db, monkeypatch):
    """Real commits: a connection with an open transaction is not replaced."""
    monkeypatch.setattr(outages, "RETRY_S", 0)


def lost(call, times: int, error=OperationalError, *, after: bool = False):
    """The call, whose connection is lost so many times: before it, or ``after`` its commit."""
    left = [times]

    def interrupted(*arguments, **fields):
        result = call(*arguments, **fields) if after or not left[0] else None
        if left[0]:
            left[0] -= 1
            raise error("server closed the connection unexpectedly")
        return result

    return interrupted


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_interrupted_call_is_repeated(error):
    assert through_outage(lost(lambda: "result", 3, error), timeout_s=600) == "result"


def test_outage_longer_than_the_time_limit_is_raised():
    with pytest.raises(OperationalError):
        through_outage(lost(lambda: "result", 1), timeout_s=0)


def test_other_errors_are_raised_at_once():
    with pytest.raises(ZeroDivisionError):
        through_outage(lambda: 1 / 0, timeout_s=600)


def executed(submission, runner):
    job = admit(submission())
    lease = lifecycle.claim(job.pk, runner)
    run_job(str(lease.job_id), lease.attempt)
    job.refresh_from_db()
    return job


@pytest.mark.parametrize("after_commit", [False, True])
def test_job_whose_end_is_interrupted_succeeds_with_its_files(
    submission, live_runner, monkeypatch, storage_folder, postings, after_commit
):
    monkeypatch.setattr(lifecycle, "succeed", lost(lifecycle.succeed, 2 - after_commit, after=after_commit))
    job = executed(submission, live_runner)
    assert (job.state, job.outputs.count(), job.attempt) == (State.SUCCEEDED, 1, 1)
    assert (storage_folder / job.outputs.get().file.name).exists()
    assert sorted(postings(job)) == ["release", "reserve", "settle"]


def test_job_goes_on_while_its_lease_cannot_be_renewed(submission, live_runner, fake_runner, monkeypatch):
    fake_runner.behavior = behaviors.generates_until_cancelled
    signals = iter([OperationalError("gone"), None, "interrupt"])

    def pending_signal(lease):
        signal = next(signals, None)
        if isinstance(signal, Exception):
            raise signal
        return lifecycle.Signal(signal) if signal else None

    monkeypatch.setattr(lifecycle, "pending_signal", pending_signal)
    monkeypatch.setattr(lifecycle, "progress", lambda lease, event: None)
    job = executed(submission, live_runner)
    assert (job.state, job.interrupted) == (State.SUCCEEDED, True)


def test_job_interrupted_elsewhere_is_requeued_and_not_failed(submission, live_runner, monkeypatch):
    monkeypatch.setattr("jobs.execution.job_execution.infotext", lost(lambda *_: "", 1))
    job = executed(submission, live_runner)
    assert (job.state, job.runner_deaths) == (State.QUEUED, 0)
    assert job.transitions.last().note == "the database was not reachable"


def test_waiting_for_a_job_outlasts_a_lost_connection(job, lease):
    lifecycle.fail(lease, "internal", "It broke.")
    with connection.execute_wrapper(lost(lambda execute, *rest: execute(*rest), 2)):
        assert wait_for(job.pk, 600).state == State.FAILED
