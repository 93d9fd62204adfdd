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
        times = {name: timezone.now() + timedelta(seconds=away) for name, away in seconds.items()}
        Job.objects.filter(pk=job.pk).update(**times)

    return shift


def state_of(job: Job) -> str:
    return Job.objects.get(pk=job.pk).state


def test_job_whose_lease_is_over_is_put_back(job, lease, shift, postings):
    shift(job, lease_expires_at=-1)
    assert sweep() == SweepResult(put_back=1, expired=0)
    job.refresh_from_db()
    assert (job.state, job.runner_deaths) == (State.QUEUED, 0)
    assert job.transitions.last().note == "the lease expired"
    assert postings(job) == ["reserve"]


def test_job_that_loses_every_worker_is_not_tried_for_ever(job, runner, shift, held):
    for _attempt in range(lifecycle.MAX_UNCLEAR_LOSSES):
        assert state_of(job) == State.QUEUED
        lifecycle.claim(job.pk, runner)
        shift(job, lease_expires_at=-1)
        sweep()
    job.refresh_from_db()
    assert (job.state, job.error_code, held()) == (State.FAILED, lifecycle.POISONED, 0)


def test_job_that_a_busy_runner_did_not_take_is_no_suspect(job, runner, shift):
    for _attempt in range(lifecycle.MAX_UNCLEAR_LOSSES + 1):
        lifecycle.requeue(lifecycle.claim(job.pk, runner), note="not taken by the runner: busy")
    assert state_of(job) == State.QUEUED


def test_job_whose_worker_lives_is_left_alone(job, lease):
    assert sweep() == SweepResult(put_back=0, expired=0)
    assert state_of(job) == State.RUNNING


def test_cancelled_job_of_a_dead_worker_ends(job, lease, shift):
    lifecycle.cancel(job.pk)
    shift(job, lease_expires_at=-1)
    sweep()
    assert state_of(job) == State.CANCELLED


def test_job_that_waited_for_too_long_expires(job, shift, held):
    shift(job, expires_at=-1)
    assert sweep() == SweepResult(put_back=0, expired=1)
    assert state_of(job) == State.EXPIRED
    assert held() == 0


def test_job_that_may_still_wait_is_left_alone(job):
    sweep()
    assert state_of(job) == State.QUEUED


def test_running_job_does_not_expire(job, lease, shift):
    shift(job, expires_at=-1)
    sweep()
    assert state_of(job) == State.RUNNING


def test_sweeps_at_the_same_time_put_a_job_back_once(together, job, lease, shift):
    shift(job, lease_expires_at=-1)
    assert sum(swept.put_back for swept in together(*[sweep] * 4)) == 1
    assert job.transitions.filter(to_state=State.QUEUED, from_state=State.RUNNING).count() == 1


def test_jobs_die_with_their_runner_unless_they_started_after(submission, runner, shift):
    before, after = admit(submission()), admit(submission())
    for job in (before, after):
        lifecycle.claim(job.pk, runner)
    shift(before, started_at=-60)
    assert died_with(runner, timezone.now() - timedelta(seconds=30)) == 1
    assert (state_of(before), state_of(after)) == (State.QUEUED, State.RUNNING)


def test_a_job_that_its_new_runner_holds_already_is_left_alone(submission, runner, shift):
    job = admit(submission())
    lease = lifecycle.claim(job.pk, runner)
    shift(job, started_at=-60)
    assert died_with(runner, timezone.now(), new_boot_id="second boot", held=[lease.order_id]) == 0
    assert state_of(job) == State.RUNNING


def test_a_death_is_not_blamed_on_a_job_that_started_after_the_runner_was_last_seen(
    submission, runner, shift
):
    runner.seen_at = timezone.now() - timedelta(seconds=90)
    for _attempt in range(lifecycle.MAX_UNCLEAR_LOSSES - 1):
        job = Job.objects.first() or admit(submission())
        lifecycle.claim(job.pk, runner)
        shift(job, started_at=-60)
        died_with(runner, timezone.now())
    job.refresh_from_db()
    assert (job.state, job.runner_deaths) == (State.QUEUED, 0)
    assert job.transitions.last().note == lifecycle.NEVER_ACCEPTED
    lifecycle.claim(job.pk, runner)
    shift(job, started_at=-60)
    died_with(runner, timezone.now())
    assert state_of(job) == State.FAILED


def test_command_tells_what_it_did(job, shift):
    shift(job, expires_at=-1)
    told = io.StringIO()
    call_command("sweep", stdout=told)
    assert told.getvalue() == "put back 0, expired 1\n"


@pytest.mark.django_db
def test_background_cluster_sweeps_every_minute():
    schedule = Schedule.objects.get(func="jobs.tasks.sweep")
    assert (schedule.schedule_type, schedule.minutes) == (Schedule.MINUTES, 1)
