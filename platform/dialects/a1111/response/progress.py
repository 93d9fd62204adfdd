"""Progress of the caller's job, in A1111's format."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from access.models import AccessKey
from dialects.a1111.authentication import DIALECT
from dialects.a1111.schema import images
from jobs.models import Job, Preview, Signal, State
from jobs.selectors import running_and_queued

from .generation import timestamp

IDLE_STATE: dict[str, Any] = {
    "skipped": False,
    "interrupted": False,
    "stopping_generation": False,
    "job": "",
    "job_count": 0,
    "job_timestamp": "0",
    "job_no": 0,
    "sampling_step": 0,
    "sampling_steps": 0,
}
TITLES = {"upscale": "extras", "analyze": "interrogate"}  # of tasks; others have that of their operation
STARTED = 0.01  # progress of a running job before its first step


def active(key: AccessKey) -> QuerySet[Job]:
    return running_and_queued(key).filter(dialect=DIALECT)


def current(key: AccessKey) -> Job | None:
    """Oldest running job of the key, or else the oldest queued one; None if there is neither."""
    jobs = list(active(key))
    return next((job for job in jobs if job.state == State.RUNNING), jobs[0] if jobs else None)


def progress(key: AccessKey, *, with_preview: bool) -> dict[str, Any]:
    job = current(key)
    if job is None:
        return _body(0.0, 0.0, IDLE_STATE, None)
    fraction = fraction_done(job)
    jpeg = preview(job) if with_preview else None
    return _body(fraction, eta(job, fraction), state(job), images.encode(jpeg) if jpeg else None)


def _body(fraction: float, eta: float, state: dict[str, Any], image: str | None) -> dict[str, Any]:
    return {
        "progress": fraction,
        "eta_relative": eta,
        "state": state,
        "current_image": image,
        "textinfo": None,
    }


def state(job: Job) -> dict[str, Any]:
    interrupting = {Signal.INTERRUPT, Signal.DISCARD}
    return {
        "skipped": job.signal == Signal.SKIP,
        "interrupted": job.signal in interrupting,
        "stopping_generation": job.signal in interrupting,
        "job": _title(job),
        "job_count": batches(job) * passes(job) if job.state == State.RUNNING else -1,
        "job_timestamp": timestamp(job),
        "job_no": job.batch * passes(job) + _current_pass(job),
        "sampling_step": max(0, job.batch_step - 1),
        "sampling_steps": batch_steps(job),
    }


def _title(job: Job) -> str:
    count = batches(job)
    if title := TITLES.get(job.request["task"]):
        return title
    return f"Batch {job.batch + 1} out of {count}" if count > 1 else f"scripts_{job.operation}"


def batches(job: Job) -> int:
    return max(1, job.request["num_images"] // job.request["batch_size"])


def passes(job: Job) -> int:
    """Number of passes of a batch. The original counts each as a job."""
    return 2 if job.request.get("hires") else 1


def _current_pass(job: Job) -> int:
    if passes(job) == 1:
        return 0
    first = job.request["num_inference_steps"]
    second = job.request["hires"]["num_inference_steps"] or first
    return int(job.batch_step * (first + second) > batch_steps(job) * first)


def batch_steps(job: Job) -> int:
    """Steps of one batch; the job's own count includes all of its images."""
    return max(1, job.steps // job.request["num_images"])


def fraction_done(job: Job) -> float:
    if job.is_terminal:
        return 1.0
    if job.state == State.QUEUED:
        return STARTED
    count = batches(job)
    return min(1.0, STARTED + job.batch / count + job.batch_step / batch_steps(job) / count)


def eta(job: Job, fraction: float) -> float:
    if job.started_at is None or job.state != State.RUNNING:
        return 0.0
    elapsed = (timezone.now() - job.started_at).total_seconds()
    return elapsed / fraction - elapsed


def preview(job: Job) -> bytes | None:
    jpeg = Preview.objects.filter(job=job).values_list("jpeg", flat=True).first()
    return bytes(jpeg) if jpeg else None


def _newer_preview(job: Job, seen: int) -> tuple[int, bytes | None]:
    """Number of the newest preview (its time in ms since 1970), and its JPEG if it differs from ``seen``."""
    found = Preview.objects.filter(job=job).first()
    number = int(found.updated_at.timestamp() * 1000) if found else seen
    return number, bytes(found.jpeg) if found and number != seen else None


def task(key: AccessKey, task_id: str | None, *, with_preview: bool, seen: int) -> dict[str, Any]:
    """Progress of one task by its client-assigned id. For unknown ids, all states are false.

    ``seen`` is the number of the client's newest preview; that preview is not sent again.
    """
    found = Job.objects.filter(source=key.source, dialect=DIALECT, external_id=task_id or "")
    job = found.first() if task_id else None
    is_active = job is not None and job.state == State.RUNNING
    number, jpeg = (
        _newer_preview(job, seen) if job is not None and is_active and with_preview else (seen, None)
    )
    fraction = fraction_done(job) if job is not None and is_active else None
    return {
        "active": is_active,
        "queued": job is not None and job.state == State.QUEUED,
        "completed": job is not None and job.is_terminal,
        "progress": fraction,
        "eta": eta(job, fraction) if job is not None and fraction else None,
        "live_preview": f"data:image/jpeg;base64,{images.encode(jpeg)}" if jpeg else None,
        "id_live_preview": number,
        "textinfo": _textinfo(key, job, is_active),
    }


def _textinfo(key: AccessKey, job: Job | None, is_active: bool) -> str:
    if is_active:
        return ""
    if job is None or job.state != State.QUEUED:
        return "Waiting..."
    waiting = [other.id for other in active(key) if other.state == State.QUEUED]
    position = waiting.index(job.id) + 1 if job.id in waiting else len(waiting) + 1
    return f"In queue: {position}/{max(position, len(waiting))}"
