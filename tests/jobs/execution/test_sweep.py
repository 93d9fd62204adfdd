import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_q.models import Schedule

from jobs.admission.admit import admit
from jobs.execution import lifecycle
from jobs.execution.sweep import SweepResult, died_with, sweep
from jobs.models import Job, State


@pytest.fixture
def shift():
    """``shift(job, lease_expires_at=-1)``: sets a time of a job, in seconds from now."""

    def shift(job: Job, **seconds: float) -> None:
        times = {name: timezone.now() + timedelta(seconds=offset) for name, offset in seconds.items()}
        Job.objects.filter(pk=job.pk).update(**times)

    return shift


def state_of(job: Job) -> str:
    return Job.objects.get(pk=job.pk).state


def test_job_with_an_expired_lease_is_requeued(job, lease, shift, postings):
    shift(job, lease_expires_at=-1)
    assert sweep() == SweepResult(put_back=1, expired=0)
    job.refresh_from_db()
    assert (job.state, job.runner_deaths) == (State.QUEUED, 0)
    assert job.transitions.last().note == "the lease expired"
    assert postings(job) == ["reserve"]


def test_number_of_lost_leases_is_limited(job, runner, shift, reserved):
    for _attempt in range(lifecycle.MAX_UNCLEAR_LOSSES):
        assert state_of(job) == State.QUEUED
        lifecycle.begin(lifecycle.claim(job.pk, runner))
        shift(job, lease_expires_at=-1)
        sweep()
    job.refresh_from_db()
    assert (job.state, job.error_code, reserved()) == (State.FAILED, lifecycle.POISONED, 0)


def test_job_that_no_worker_begins_is_requeued_without_blame(job, runner, shift):
    for _attempt in range(lifecycle.MAX_UNCLEAR_LOSSES + 1):
        lifecycle.claim(job.pk, runner)
        shift(job, lease_expires_at=-1)
        sweep()
    job.refresh_from_db()
    assert (job.state, job.runner_deaths) == (State.QUEUED, 0)
    assert job.transitions.last().note == lifecycle.NOT_BEGUN
    runner.refresh_from_db()
    assert runner.hand_over_lost_at is not None


def test_lost_worker_is_not_a_lost_hand_over(job, lease, runner, shift):
    shift(job, lease_expires_at=-1)
    sweep()
    runner.refresh_from_db()
    assert runner.hand_over_lost_at is None


def test_refusals_of_a_busy_runner_are_not_counted(job, runner, shift):
    for _attempt in range(lifecycle.MAX_UNCLEAR_LOSSES + 1):
        lifecycle.requeue(lifecycle.claim(job.pk, runner), note="not accepted by the runner: busy")
    assert state_of(job) == State.QUEUED


def test_job_with_a_valid_lease_is_not_requeued(job, lease):
    assert sweep() == SweepResult(put_back=0, expired=0)
    assert state_of(job) == State.RUNNING


def test_cancelled_job_of_a_dead_worker_ends(job, lease, shift):
    lifecycle.cancel(job.pk)
    shift(job, lease_expires_at=-1)
    sweep()
    assert state_of(job) == State.CANCELLED


def test_job_queued_for_too_long_expires(job, shift, reserved):
    shift(job, expires_at=-1)
    assert sweep() == SweepResult(put_back=0, expired=1)
    assert state_of(job) == State.EXPIRED
    assert reserved() == 0


def test_queued_job_does_not_expire_early(job):
    sweep()
    assert state_of(job) == State.QUEUED


def test_running_job_does_not_expire(job, lease, shift):
    shift(job, expires_at=-1)
    sweep()
    assert state_of(job) == State.RUNNING


def test_concurrent_sweeps_requeue_a_job_once(together, job, lease, shift):
    shift(job, lease_expires_at=-1)
    assert sum(result.put_back for result in together(*[sweep] * 4)) == 1
    assert job.transitions.filter(to_state=State.QUEUED, from_state=State.RUNNING).count() == 1


def test_jobs_die_with_their_runner_unless_they_started_after(submission, runner, shift):
    before, after = admit(submission()), admit(submission())
    for job in (before, after):
        lifecycle.begin(lifecycle.claim(job.pk, runner))
    shift(before, begun_at=-60)
    assert died_with(runner, timezone.now() - timedelta(seconds=30)) == 1
    assert (state_of(before), state_of(after)) == (State.QUEUED, State.RUNNING)


def test_job_already_held_by_the_restarted_runner_keeps_running(submission, runner, shift):
    job = admit(submission())
    lease = lifecycle.claim(job.pk, runner)
    shift(job, begun_at=-60)
    assert died_with(runner, timezone.now(), new_boot_id="second boot", held=[lease.order_id]) == 0
    assert state_of(job) == State.RUNNING


def test_runner_death_before_acceptance_is_not_counted_for_the_job(submission, runner, shift):
    runner.seen_at = timezone.now() - timedelta(seconds=90)
    for _attempt in range(lifecycle.MAX_UNCLEAR_LOSSES - 1):
        job = Job.objects.first() or admit(submission())
        lifecycle.claim(job.pk, runner)
        shift(job, begun_at=-60)
        died_with(runner, timezone.now())
    job.refresh_from_db()
    assert (job.state, job.runner_deaths) == (State.QUEUED, 0)
    assert job.transitions.last().note == lifecycle.NEVER_ACCEPTED
    lifecycle.claim(job.pk, runner)
    shift(job, begun_at=-60)
    died_with(runner, timezone.now())
    assert state_of(job) == State.FAILED


def test_command_prints_the_counts(job, shift):
    shift(job, expires_at=-1)
    out = io.StringIO()
    call_command("sweep", stdout=out)
    assert out.getvalue() == "requeued 0, expired 1\n"


@pytest.mark.django_db
def test_background_cluster_sweeps_every_minute():
    schedule = Schedule.objects.get(func="jobs.tasks.sweep")
    assert (schedule.schedule_type, schedule.minutes) == (Schedule.MINUTES, 1)
