from datetime import timedelta

import pytest
from django.utils import timezone

from gpu_runner.protocol import LoadedModel
from jobs.admission.admit import admit
from jobs.execution import lifecycle
from jobs.execution.runner_monitor import RunnerWatch
from jobs.models import Job, Runner, State


@pytest.fixture
def look(live_runner: Runner):
    """Looks once at the runner; its row afterwards."""

    def look() -> Runner:
        RunnerWatch(live_runner.name).look()
        live_runner.refresh_from_db()
        return live_runner

    return look


@pytest.fixture
def claimed(submission, live_runner: Runner):
    """A job that runs since so many seconds."""

    def claimed(since_s: float = 0.0) -> Job:
        job = admit(submission())
        lifecycle.claim(job.pk, live_runner)
        began = timezone.now() - timedelta(seconds=since_s)
        Job.objects.filter(pk=job.pk).update(started_at=began)
        return job

    return claimed


def has(fake_runner, **fields) -> None:
    fake_runner.status = fake_runner.status.model_copy(update=fields)


def seen_before(runner: Runner, seconds: float) -> None:
    Runner.objects.filter(pk=runner.pk).update(seen_at=timezone.now() - timedelta(seconds=seconds))


def test_row_is_what_the_runner_says(look, fake_runner):
    model = LoadedModel(path="checkpoints/a.safetensors", sha256="a" * 64, size_bytes=1)
    has(fake_runner, slots=7, device="a device", loaded=(model,), memory_bytes=12, boot_id="second boot")
    runner = look()
    assert (runner.slots, runner.device, runner.memory_bytes) == (7, "a device", 12)
    assert (runner.loaded, runner.boot_id) == (["a" * 64], "second boot")
    assert timezone.now() - runner.seen_at < timedelta(minutes=1)


def test_runner_that_answers_again_has_no_problem_any_more(look, live_runner):
    Runner.objects.update(problem="nobody answered")
    assert look().problem == ""


def test_restarted_runner_gives_its_jobs_back_with_a_death(look, fake_runner, claimed, postings):
    job = claimed(since_s=1)
    fake_runner.restart("second boot")
    look()
    job.refresh_from_db()
    assert (job.state, job.runner_deaths) == (State.QUEUED, 1)
    assert job.transitions.last().note == "the runner died"
    assert postings(job) == ["reserve"]


def test_job_that_started_after_the_restart_is_left_alone(look, fake_runner, claimed):
    fake_runner.restart("second boot")
    has(fake_runner, uptime_s=30)
    job = claimed(since_s=10)
    look()
    job.refresh_from_db()
    assert job.state == State.RUNNING


def test_runner_that_did_not_restart_keeps_its_jobs(look, fake_runner, claimed):
    job = claimed(since_s=60)
    look()
    job.refresh_from_db()
    assert job.state == State.RUNNING


def test_silent_runner_has_a_problem_and_keeps_its_jobs_for_a_lease(look, fake_runner, claimed):
    job = claimed(since_s=60)
    seen_at = look().seen_at
    fake_runner.close()
    runner = look()
    job.refresh_from_db()
    assert runner.problem
    assert runner.seen_at == seen_at
    assert job.state == State.RUNNING


def test_runner_that_stays_silent_loses_its_jobs(look, live_runner, fake_runner, claimed, settings):
    job = claimed(since_s=settings.JOB_LEASE_S + 30)
    fake_runner.close()
    seen_before(live_runner, settings.JOB_LEASE_S + 10)
    look()
    job.refresh_from_db()
    assert (job.state, job.runner_deaths) == (State.QUEUED, 1)


def test_runner_that_refuses_the_token_says_so(look, settings):
    settings.RUNNER_TOKEN = "another"
    assert "401" in look().problem


def test_token_of_the_row_goes_before_the_one_of_the_settings(look, live_runner, settings):
    live_runner.token = settings.RUNNER_TOKEN
    live_runner.save()
    settings.RUNNER_TOKEN = "another"
    assert look().problem == ""


def test_look_sweeps_too(look, job):
    Job.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    look()
    job.refresh_from_db()
    assert job.state == State.EXPIRED


@pytest.mark.django_db
def test_runner_that_nobody_registered_is_no_error():
    RunnerWatch("nobody").look()
