"""Results of trainings, as a fake trainer sends them: registered for the job's source with its success, or not at all."""

import base64
import hashlib
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from django.utils import timezone

from gpu_runner.protocol import Done, Progress, TrainedFile
from jobs.execution import lifecycle
from jobs.execution.trained_result import MAX_POINTS, with_point
from jobs.models import State
from jobs.retention.cleanup import tidy
from jobs.training import selectors
from models_registry.errors import ModelNotFound
from models_registry.models import Kind, ModelFile
from models_registry.selectors import resolve
from tests.jobs.training.conftest import SIDE, STEPS

pytestmark = pytest.mark.slow

LORA = (Path(__file__).resolve().parents[3] / "demo/models/loras/atelier-night.safetensors").read_bytes()
PER_STEP = 3 * SIDE * SIDE


def done(steps: int = STEPS) -> Done:
    return Done(engine_seconds=1, device_seconds=1, steps_run=steps * 3, pixel_steps=steps * PER_STEP)


def trains(stream, content: bytes = LORA, sha256: str | None = None, steps: int = STEPS) -> None:
    stream.accept()
    for step in range(1, steps + 1):
        stream.send(Progress(step=step, steps=STEPS, loss=1 / step))
    stream.send_image()
    half = len(content) // 2
    stream.send(TrainedFile(data=base64.b64encode(content[:half]).decode()))
    digest = sha256 or hashlib.sha256(content).hexdigest()
    stream.send(TrainedFile(data=base64.b64encode(content[half:]).decode(), last=True, sha256=digest))
    stream.send(done(steps))


def nothing_is_left(models_root: Path) -> bool:
    return not ModelFile.objects.filter(kind=Kind.LORA).exists() and not list(
        models_root.rglob("*.safetensors")
    )


@pytest.mark.django_db(transaction=True)
def test_succeeded_training_has_a_lora_that_its_source_alone_resolves(
    execute, source, other_source, checkpoint, models_root
):
    job = execute(trains)
    assert job.state == State.SUCCEEDED, job.error_message
    file = resolve(Kind.LORA, "zorb", source)
    assert (models_root / file.path).read_bytes() == LORA
    assert (file.base, file.trigger_words, file.family) == ("shapes", "zorb", checkpoint.family)
    assert file.licence == "trained here from shapes (unknown license)"
    with pytest.raises(ModelNotFound):
        resolve(Kind.LORA, "zorb", other_source)
    assert [point[0] for point in job.training.losses][-1] == STEPS
    assert job.cost == job.cost_estimate
    assert selectors.delete_result(selectors.training_get(source, job.pk))
    assert nothing_is_left(models_root)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "fault",
    [
        lambda stream: trains(stream, sha256="0" * 64),
        lambda stream: trains(stream, content=b"not a LoRA" * 100),
        lambda stream: (stream.accept(), stream.send_image(), stream.send(done())),
    ],
    ids=["hash", "content", "no file"],
)
def test_training_whose_file_is_damaged_fails_without_a_price_and_leaves_nothing(execute, models_root, fault):
    job = execute(fault)
    assert job.state == State.FAILED
    assert job.cost == 0
    assert nothing_is_left(models_root)


@pytest.mark.django_db(transaction=True)
def test_death_of_the_trainer_leaves_nothing_and_the_next_attempt_succeeds(execute, models_root):
    def dies(stream):
        stream.accept()
        stream.send(Progress(step=4, steps=STEPS, loss=0.5))
        stream.send(TrainedFile(data=base64.b64encode(LORA[:300]).decode()))

    job = execute(dies)
    assert job.state == State.QUEUED
    assert nothing_is_left(models_root)
    job = execute(trains, job)
    assert job.state == State.SUCCEEDED
    assert ModelFile.objects.filter(kind=Kind.LORA).count() == 1
    assert len(list(models_root.rglob("*.safetensors"))) == 1


@pytest.mark.django_db(transaction=True)
def test_file_of_an_attempt_that_was_lost_before_success_is_replaced(
    execute, source, models_root, monkeypatch
):
    succeed = lifecycle.succeed

    def lost(lease, *args, **kwargs):
        lifecycle.requeue(lease, note="the lease expired")
        succeed(lease, *args, **kwargs)

    monkeypatch.setattr(lifecycle, "succeed", lost)
    job = execute(trains)
    assert job.state == State.QUEUED
    with pytest.raises(ModelNotFound):
        resolve(Kind.LORA, "zorb", source)
    monkeypatch.undo()
    assert execute(trains, job).state == State.SUCCEEDED
    assert resolve(Kind.LORA, "zorb", source).enabled
    assert len(list(models_root.rglob("*.safetensors"))) == 1


def test_loss_curve_is_bounded_and_forgets_repeated_steps():
    points = []
    for step in range(1, 5000):
        points = with_point(points, (step, 0.5))
    assert len(points) <= MAX_POINTS
    assert points[-1] == (4999, 0.5)
    assert with_point(points, (100, 0.25))[-1] == (100, 0.25)
    assert all(earlier[0] < later[0] for earlier, later in pairwise(points))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("of_source", "of_request", "days"), [(30, None, 30), (30, 7, 7), (30, 99, 30), (None, 7, 7)]
)
def test_expired_model_is_unknown_at_once_and_deleted_by_the_next_cleanup(
    execute, source, models_root, of_source, of_request, days
):
    source.keep_trained_models_days = of_source
    source.save()
    job = execute(trains, keep_days=of_request)
    file = resolve(Kind.LORA, "zorb", source)
    assert abs(file.expires_at - timezone.now() - timedelta(days=days)) < timedelta(minutes=5)
    assert tidy().models == 0
    ModelFile.objects.filter(pk=file.pk).update(expires_at=timezone.now())
    with pytest.raises(ModelNotFound):
        resolve(Kind.LORA, "zorb", source)
    assert not selectors.is_available(selectors.training_get(source, job.pk))
    assert tidy().models == 1
    assert nothing_is_left(models_root)
    assert tidy().models == 0


@pytest.mark.django_db(transaction=True)
def test_model_without_an_expiry_is_kept(execute, source):
    execute(trains)
    assert resolve(Kind.LORA, "zorb", source).expires_at is None
    assert tidy().models == 0
