"""Executes trainings on a fake trainer."""

from __future__ import annotations

import pytest

from jobs.execution import lifecycle
from jobs.models import Backend, Job
from jobs.tasks import run_job
from jobs.training.dataset import DatasetFile
from jobs.training.submission import TrainingRequest, submit
from tests.support.training_jobs import pink_discs

STEPS, SIDE = 10, 128


@pytest.fixture(autouse=True)
def models_root(settings, tmp_path):
    settings.MODELS_ROOT = tmp_path / "models"
    return settings.MODELS_ROOT


@pytest.fixture
def execute(key, checkpoint, live_runner, fake_runner):
    """``execute(behavior)``: admits a training, and executes an attempt of it on a trainer with this behavior."""
    live_runner.backend = Backend.TRAINING
    live_runner.save()

    def execute(behavior, job: Job | None = None, **fields) -> Job:
        fake_runner.behavior = behavior
        files = [DatasetFile(f"{n}.png", data) for n, data in enumerate(pink_discs(2))]
        request = TrainingRequest(
            key.source,
            key,
            "native",
            "zorb",
            files,
            trigger="zorb",
            resolution=SIDE,
            settings={"steps": STEPS},
            **fields,
        )
        job = job or submit(request)[0]
        lease = lifecycle.claim(job.pk, live_runner)
        run_job(str(lease.job_id), lease.attempt)
        return Job.objects.get(pk=job.pk)

    return execute
