"""Trainings beside jobs that draw: whose slots they take, whose turn it is, and when they may start."""

from datetime import time, timedelta

import pytest
from django.utils import timezone

from gpu_runner.protocol import Done
from jobs.admission.admit import admit
from jobs.execution import lifecycle
from jobs.execution.training_hours import is_within
from jobs.models import Backend, Job, Runner, State, Usage
from jobs.scheduling import queue_snapshot
from jobs.scheduling.dispatcher import claim_next
from jobs.scheduling.eta import outlook
from jobs.scheduling.policy import Reason
from jobs.training.dataset import DatasetFile
from jobs.training.submission import TrainingRequest, submit
from tests.support.training_jobs import pink_discs

pytestmark = pytest.mark.slow

NIGHT = (time(22), time(6))


@pytest.mark.parametrize(
    ("hours", "at", "within"),
    [
        (NIGHT, time(23, 30), True),
        (NIGHT, time(5, 59), True),
        (NIGHT, time(6), False),
        (NIGHT, time(12), False),
        ((time(9), time(17)), time(9), True),
        ((time(9), time(17)), time(17), False),
        ((time(9), time(9)), time(3), True),
    ],
    ids=str,
)
def test_hours_may_go_past_midnight(hours, at, within):
    assert is_within(hours, at) == within


@pytest.fixture
def trainer(db) -> Runner:
    seen = {"slots": 1, "boot_id": "first boot", "seen_at": timezone.now() + timedelta(hours=1)}
    return Runner.objects.create(name="trainer", url="http://127.0.0.1:9", backend=Backend.TRAINING, **seen)


@pytest.fixture
def training(key, checkpoint, trainer):
    def training(name: str = "zorb", source=None) -> Job:
        files = [DatasetFile(f"{n}.png", data) for n, data in enumerate(pink_discs(2, side=64))]
        owner = (key.source, key) if source is None else (source, None)
        return submit(TrainingRequest(*owner, "native", name, files, settings={"steps": 10}))[0]

    return training


def claimed(runner: Runner) -> list:
    return [lease.job_id for lease in claim_next(runner.name, 4)]


def test_training_takes_no_slot_of_its_source_and_drawing_none_of_trainings(
    submission, source, runner, trainer, training
):
    source.max_concurrent_jobs = 1
    source.save()
    first, second, drawing = training(), training("second"), admit(submission())
    assert claimed(trainer) == [first.pk]
    assert outlook(drawing).reason == Reason.NEXT
    assert claimed(runner) == [drawing.pk]
    trainer.slots = 2
    trainer.save()
    assert outlook(second).reason == Reason.SOURCE_AT_CAP


def test_hours_of_training_do_not_count_into_the_fair_share_of_drawing(source, runner, trainer, training):
    job = training()
    lease = lifecycle.claim(job.pk, trainer)
    lifecycle.begin(lease)
    work = Done(engine_seconds=7200, device_seconds=7200, steps_run=30, pixel_steps=30 * 128 * 128)
    lifecycle.cancelled(lease, work)
    assert not Usage.objects.exists()
    loads, _rate = queue_snapshot.served_and_rate(runner.backend, timezone.now())
    assert loads == {}
    assert queue_snapshot.served_and_rate(trainer.backend, timezone.now())[0] == {source.pk: 7200}


def test_source_that_had_less_of_the_trainers_is_next(source, other_source, trainer, training):
    Job.objects.filter(pk=training().pk).update(
        state=State.SUCCEEDED, finished_at=timezone.now(), device_seconds=3600, cost=5
    )
    training("second"), training("third")
    theirs = training("fourth", source=other_source)
    assert claimed(trainer) == [theirs.pk]


def test_trainings_start_within_their_hours_only(trainer, training, settings):
    job = training()
    now = timezone.localtime()
    later, much_later = ((now + timedelta(hours=hours)).time() for hours in (2, 3))
    settings.TRAINING_HOURS = later, much_later
    assert claimed(trainer) == []
    eta = outlook(job)
    assert (eta.reason, eta.starts_in_s) == (Reason.OUTSIDE_HOURS, None)
    settings.TRAINING_HOURS = much_later, later
    assert claimed(trainer) == [job.pk]


def test_training_waits_until_no_image_was_drawn_for_a_while(submission, runner, trainer, training, settings):
    settings.TRAINING_IDLE_S = 60.0
    drawing, job = admit(submission()), training()
    assert claimed(runner) == [drawing.pk]
    assert claimed(trainer) == []
    assert outlook(job).reason == Reason.RUNNERS_DRAW
    ended = Job.objects.filter(pk=drawing.pk)
    ended.update(state=State.SUCCEEDED, finished_at=timezone.now() - timedelta(seconds=30))
    assert claimed(trainer) == []
    ended.update(finished_at=timezone.now() - timedelta(seconds=90))
    assert claimed(trainer) == [job.pk]
