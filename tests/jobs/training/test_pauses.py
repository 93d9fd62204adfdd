"""Trainings that stop in the middle and go on later: at the end of their hours, and what is billed if they do not."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from access.models import Posting
from gpu_runner.protocol import Done, Failed, Progress
from jobs.execution import lifecycle
from jobs.execution.sweep import sweep
from jobs.models import Job, Signal, State
from jobs.scheduling import trainings
from tests.jobs.training.conftest import SIDE, STEPS
from tests.jobs.training.test_results import trains

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

DONE = 4


@pytest.fixture
def end_hours(settings):
    def end_hours() -> None:
        now = timezone.localtime()
        settings.TRAINING_HOURS = tuple((now + timedelta(hours=hours)).time() for hours in (2, 3))

    return end_hours


@pytest.fixture
def pauses(end_hours, fake_runner):
    """A trainer whose hours end after some steps; it saves its state when it is told to."""

    def pauses(stream) -> None:
        stream.accept()
        stream.send(Progress(step=DONE, steps=STEPS, loss=0.5))
        end_hours()
        assert stream.wait_for_cancellation() == "pause"
        work = Done(engine_seconds=60, device_seconds=60, steps_run=DONE * 3, pixel_steps=DONE * 3 * SIDE**2)
        stream.send(Failed(code="stopping", message="paused", work=work))

    return pauses


def share(job: Job, steps: int) -> Decimal:
    return (job.cost_estimate * steps / STEPS).quantize(Decimal("0.000001"))


def test_training_pauses_when_its_hours_end_and_goes_on_in_the_next_ones(execute, pauses, settings, source):
    job = execute(pauses)
    assert (job.state, job.step, job.runner, job.lease_expires_at) == (State.QUEUED, DONE, None, None)
    assert job.training.is_paused
    assert "the hours of trainings ended" in job.transitions.last().note
    assert trainings.served(timezone.now())[0] == {source.pk: 60}
    assert list(Posting.objects.values_list("kind", flat=True)) == [Posting.Kind.RESERVE]

    settings.TRAINING_HOURS = None
    job = execute(trains, job)
    assert (job.state, job.attempt, job.runner_deaths) == (State.SUCCEEDED, 2, 0)
    assert (job.cost, job.device_seconds) == (job.cost_estimate, 61)


def test_paused_training_does_not_expire_while_it_waits_for_its_hours(execute, pauses, settings):
    job = execute(pauses)
    settings.JOB_MAX_AGE_S = 3600
    late = timezone.now() + timedelta(seconds=1800)
    assert late < job.expires_at
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(days=3))
    assert sweep().expired == 0


def test_cancelled_pause_is_billed_for_the_steps_that_were_done(execute, pauses):
    job = execute(pauses)
    lifecycle.cancel(job.pk)
    job = Job.objects.get(pk=job.pk)
    assert (job.state, job.cost, job.device_seconds) == (State.CANCELLED, share(job, DONE), 60)


def test_paused_training_that_shall_finish_now_ends_with_its_next_attempt(execute, pauses, settings):
    job = execute(pauses)
    assert lifecycle.signal(job.pk, Signal.INTERRUPT)
    settings.TRAINING_HOURS = None

    def finishes(stream) -> None:
        stream.accept()
        assert stream.wait_for_cancellation() == "interrupt"
        trains(stream, steps=DONE)

    job = execute(finishes, job)
    assert (job.state, job.interrupted, job.cost) == (State.SUCCEEDED, True, share(job, DONE))


def test_training_that_never_began_costs_nothing_when_it_is_cancelled(execute):
    def dies(stream) -> None:
        stream.accept()

    job = execute(dies)
    assert not lifecycle.signal(job.pk, Signal.INTERRUPT)
    lifecycle.cancel(job.pk)
    assert Job.objects.get(pk=job.pk).cost == 0


def test_cancelled_training_is_billed_although_its_trainer_does_not_confirm(execute, monkeypatch):
    monkeypatch.setattr("jobs.execution.job_execution.GRACE_S", 0.5)

    def draws_samples_for_long(stream) -> None:
        stream.accept()
        stream.send(Progress(step=DONE, steps=STEPS, loss=0.5))
        Job.objects.update(signal=Signal.DISCARD)
        stream.wait_for_cancellation()
        stream.wait_for_cancellation()

    job = execute(draws_samples_for_long)
    assert (job.state, job.cost) == (State.CANCELLED, share(job, DONE))
