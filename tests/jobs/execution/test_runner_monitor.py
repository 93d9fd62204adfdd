from datetime import timedelta

import pytest
from django.utils import timezone

from gpu_runner.protocol import LoadedModel
from jobs.admission.admit import admit
from jobs.execution import lifecycle
from jobs.execution.runner_monitor import RunnerWatch
from jobs.models import Job, Runner, State


@pytest.fixture
def poll(live_runner: Runner):
    """``poll()``: polls the runner once and returns its row."""

    def poll() -> Runner:
        RunnerWatch(live_runner.name).look()
        live_runner.refresh_from_db()
        return live_runner

    return poll


@pytest.fixture
def claimed(submission, live_runner: Runner):
    """``claimed(since_s)``: a job that has been running for that many seconds."""

    def claimed(since_s: float = 0.0) -> Job:
        job = admit(submission())
        lifecycle.begin(lifecycle.claim(job.pk, live_runner))
        began_at = timezone.now() - timedelta(seconds=since_s)
        Job.objects.filter(pk=job.pk).update(started_at=began_at, begun_at=began_at)
        return job

    return claimed


def set_status(fake_runner, **fields) -> None:
    fake_runner.status = fake_runner.status.model_copy(update=fields)


def seen_before(runner: Runner, seconds: float) -> None:
    Runner.objects.filter(pk=runner.pk).update(seen_at=timezone.now() - timedelta(seconds=seconds))


def test_row_is_updated_with_the_reported_status(poll, fake_runner):
    model = LoadedModel(path="checkpoints/a.safetensors", sha256="a" * 64, size_bytes=1)
    set_status(
        fake_runner, slots=7, device="a device", loaded=(model,), memory_bytes=12, boot_id="second boot"
    )
    runner = poll()
    assert (runner.slots, runner.device, runner.memory_bytes) == (7, "a device", 12)
    assert (runner.loaded, runner.boot_id) == (["a" * 64], "second boot")
    assert timezone.now() - runner.seen_at < timedelta(minutes=1)


def test_load_time_of_an_evicted_model_is_still_known(poll, fake_runner):
    first = LoadedModel(path="a", sha256="a" * 64, size_bytes=1, load_seconds=2.5)
    second = LoadedModel(path="b", sha256="b" * 64, size_bytes=1, load_seconds=0.5)
    set_status(fake_runner, loaded=(first,))
    poll()
    set_status(fake_runner, loaded=(second,))
    assert poll().load_seconds == {"a" * 64: 2.5, "b" * 64: 0.5}


def test_problem_is_cleared_when_the_runner_responds(poll, live_runner):
    Runner.objects.update(problem="connection refused")
    assert poll().problem == ""


def test_jobs_of_a_restarted_runner_are_requeued_with_a_runner_death(poll, fake_runner, claimed, postings):
    job = claimed(since_s=1)
    fake_runner.restart("second boot")
    poll()
    job.refresh_from_db()
    assert (job.state, job.runner_deaths) == (State.QUEUED, 1)
    assert job.transitions.last().note == "the runner died"
    assert postings(job) == ["reserve"]


def test_job_started_after_the_restart_keeps_running(poll, fake_runner, claimed):
    fake_runner.restart("second boot")
    set_status(fake_runner, uptime_s=30)
    job = claimed(since_s=10)
    poll()
    job.refresh_from_db()
    assert job.state == State.RUNNING


def test_runner_that_did_not_restart_keeps_its_jobs(poll, fake_runner, claimed):
    job = claimed(since_s=60)
    poll()
    job.refresh_from_db()
    assert job.state == State.RUNNING


def test_unreachable_runner_has_a_problem_and_keeps_its_jobs_until_the_lease_ends(poll, fake_runner, claimed):
    job = claimed(since_s=60)
    seen_at = poll().seen_at
    fake_runner.close()
    runner = poll()
    job.refresh_from_db()
    assert runner.problem
    assert runner.seen_at == seen_at
    assert job.state == State.RUNNING


def test_jobs_of_a_runner_unreachable_for_longer_than_a_lease_are_requeued(
    poll, live_runner, fake_runner, claimed, settings
):
    job = claimed(since_s=settings.JOB_LEASE_S + 30)
    fake_runner.close()
    seen_before(live_runner, settings.JOB_LEASE_S + 10)
    poll()
    job.refresh_from_db()
    assert (job.state, job.runner_deaths) == (State.QUEUED, 1)


def test_claimed_job_that_no_worker_has_begun_does_not_die_with_the_runner(poll, fake_runner, claimed):
    job = claimed(since_s=1)
    Job.objects.update(begun_at=None)
    fake_runner.restart("second boot")
    poll()
    job.refresh_from_db()
    assert (job.state, job.runner_deaths) == (State.RUNNING, 0)


def test_lost_hand_over_is_forgiven_when_a_worker_begins_a_job(poll, live_runner, claimed):
    claimed(since_s=60)
    Runner.objects.update(hand_over_lost_at=timezone.now() - timedelta(seconds=30))
    assert poll().hand_over_lost_at is not None
    claimed()
    assert poll().hand_over_lost_at is None


def test_rejected_token_is_reported_as_a_problem(poll, settings):
    settings.RUNNER_TOKEN = "another"
    assert "401" in poll().problem


def test_token_of_the_row_takes_precedence_over_the_setting(poll, live_runner, settings):
    live_runner.token = settings.RUNNER_TOKEN
    live_runner.save()
    settings.RUNNER_TOKEN = "another"
    assert poll().problem == ""


def test_poll_also_sweeps(poll, job):
    Job.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    poll()
    job.refresh_from_db()
    assert job.state == State.EXPIRED


@pytest.mark.django_db
def test_unregistered_runner_is_no_error():
    RunnerWatch("unknown").look()
