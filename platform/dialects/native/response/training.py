"""A training, as this API shows it."""

from __future__ import annotations

from datetime import datetime

from django.urls import reverse
from pydantic import BaseModel, Field

from dialects.native.response.schemas import JobError, OutputView, StateName, job_detail
from jobs.models import State, Training
from jobs.training.file_downloads import download_note, file_url
from jobs.training.selectors import is_available


class LossPoint(BaseModel):
    """The mean loss of the latest steps."""

    step: int
    loss: float


class TrainedModelView(BaseModel):
    """The result of a training: a LoRA that only this source can use."""

    name: str = Field(
        description="In requests. It differs from the requested one if another source's LoRA has that."
    )
    sha256: str
    size_bytes: int
    family: str
    base: str
    licence: str
    trigger_words: str
    expires_at: datetime | None = Field(description="Then it is deleted. Null: never.")
    download_url: str | None = Field(
        description="Of the file: a signed URL that needs no key and expires. Null: see download_note."
    )
    download_note: str | None = Field(description="Why there is no download_url.")


class TrainingView(BaseModel):
    """A training of a LoRA."""

    id: str = Field(description="Also of its job, which has events, and can be cancelled or interrupted.")
    url: str
    job_url: str
    name: str
    description: str
    state: StateName
    progress: float
    step: int
    steps: int
    images: int = Field(description="Of the data set.")
    base: str
    resolution: int
    trigger: str
    cost: float = Field(description="Final cost; until the training has ended, the reserved amount.")
    paused: bool = Field(
        description="Queued after a part of its steps: it goes on from its saved state, at the latest when its hours begin."
    )
    interrupted: bool = Field(description="Succeeded with fewer steps than requested.")
    stopping: bool
    ends_in_s: float | None
    error: JobError | None
    losses: list[LossPoint]
    samples: list[OutputView] = Field(description="A grid of samples, when the training has succeeded.")
    model: TrainedModelView | None = Field(description="Null: not trained yet, or deleted.")
    created_at: datetime
    finished_at: datetime | None


class TrainingList(BaseModel):
    """The newest trainings of the source."""

    items: list[TrainingView]


def training_view(training: Training, base_url: str) -> TrainingView:
    """A training with its result. ``base_url``: of the URL of its file."""
    job = training.job
    detail, settings = job_detail(job), job.generation_request.training
    assert settings is not None
    done = job.state == State.SUCCEEDED and not job.interrupted
    return TrainingView(
        id=detail.id,
        url=reverse("native:training", args=[job.pk]),
        job_url=detail.url,
        name=training.name,
        description=training.description,
        state=detail.state,
        progress=detail.progress,
        step=settings.steps if done else min(job.step, settings.steps),
        steps=settings.steps,
        images=len(settings.images),
        base=job.request["checkpoint"],
        resolution=job.generation_request.width,
        trigger=settings.trigger,
        cost=detail.cost,
        paused=training.is_paused,
        interrupted=detail.interrupted,
        stopping=detail.stopping,
        ends_in_s=detail.ends_in_s,
        error=detail.error,
        losses=[LossPoint(step=step, loss=loss) for step, loss in training.losses],
        samples=detail.outputs,
        model=_model(training, base_url),
        created_at=detail.created_at,
        finished_at=detail.finished_at,
    )


def _model(training: Training, base_url: str) -> TrainedModelView | None:
    file = training.file
    if file is None or not is_available(training):
        return None
    return TrainedModelView(
        name=file.name,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        family=file.family,
        base=file.base,
        licence=file.licence,
        trigger_words=file.trigger_words,
        expires_at=file.expires_at,
        download_url=file_url(training, base_url),
        download_note=download_note(training),
    )
