"""A task as its caller asks for it: by the id that the caller chose, of which the newest job counts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone

from access.models import AccessKey
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from dialects.zhiqite.request.tools import TOOL
from jobs.images.signed_urls import output_url, output_urls, preview_url
from jobs.models import ACTIVE, Job, Output, Preview, State
from jobs.scheduling.eta import outlook, progress_of

QUEUED, SUCCESS, RUNNING, FAILED, REJECTED = 1, 2, 3, 4, 5
WORDS = {
    QUEUED: "任务排队中",
    SUCCESS: "任务成功 !",
    RUNNING: "任务执行中",
    FAILED: "任务失败",
    REJECTED: "任务审核不通过",
}
IMAGE_OK, IMAGE_BLOCKED = 1, 2
HIDDEN = ("blur", "blank")


def drawing_of(key: AccessKey, task_id: str) -> Job:
    """Raises WireError for a task that is not there, or not this key's."""
    return _newest(key, task_id, ~Q(operation__startswith=TOOL))


def recent_drawing_of(key: AccessKey, task_id: str) -> Job:
    """Of this month: what has not ended, or was begun or ended in it. Raises WireError."""
    month = this_month()
    recent = Q(state__in=ACTIVE) | Q(created_at__gte=month) | Q(finished_at__gte=month)
    return _newest(key, task_id, ~Q(operation__startswith=TOOL) & recent)


def tool_of(key: AccessKey, task_id: str, code: str) -> Job:
    """Raises WireError."""
    return _newest(key, task_id, Q(operation=TOOL + code))


def this_month() -> datetime:
    return timezone.localtime().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _newest(key: AccessKey, task_id: str, which: Q) -> Job:
    # With the source, because the index begins with it.
    named = Job.objects.filter(which, source=key.source, external_id=task_id, dialect=DIALECT, key=key)
    job = named.select_related("source").order_by("-created_at").first()
    if job is None:
        raise WireError.unknown_task()
    return job


def status(job: Job) -> int:
    match job.state:
        case State.QUEUED:
            return QUEUED
        case State.RUNNING:
            return RUNNING
        case State.SUCCEEDED if job.images_done:
            return SUCCESS
        case State.FAILED if job.error_code == "nsfw":
            return REJECTED
    return FAILED


def realtime(job: Job, base_url: str) -> dict[str, Any]:
    return {
        "id_task": job.external_id,
        "status": status(job),
        "desc": description(job),
        "temporaryImageDto": None if job.is_terminal else _temporary(job, base_url),
        "differentialImageRspList": rows(job, base_url),
    }


def archived(job: Job, base_url: str) -> dict[str, Any]:
    return {
        "task_id": job.external_id,
        "status": status(job),
        "desc": "success" if status(job) == SUCCESS else description(job),
        "differentialImageRspList": rows(job, base_url),
    }


def tool(job: Job, base_url: str) -> dict[str, Any]:
    """Where a tool has drawn more than one picture, all of them too."""
    urls = output_urls(job, base_url)
    return {
        "taskId": str(job.pk),
        "businessTaskId": job.external_id,
        "status": status(job),
        "desc": description(job),
        "outputImageUrl": urls[0] if urls else None,
        "outputImageUrls": urls,
    }


def told(job: Job, base_url: str) -> dict[str, Any]:
    """As the query that belongs to its operation tells of it."""
    return (tool if job.operation.startswith(TOOL) else realtime)(job, base_url)


def description(job: Job) -> str:
    said = WORDS[status(job)]
    return f"{said}: {job.error_message}" if job.error_message else said


def rows(job: Job, base_url: str) -> list[dict[str, Any]]:
    return [_row(job, output, output_url(output, base_url)) for output in job.pictures]


def _row(job: Job, output: Output, url: str) -> dict[str, Any]:
    hidden = bool(output.nsfw) and job.request["nsfw"]["policy"] in HIDDEN
    label = {"confidence": output.nsfw_score, "label": "nsfw"} if output.nsfw else NO_LABEL
    return {
        "img_audit": [label],
        "img_audit_status": not output.nsfw,
        "image_status": IMAGE_BLOCKED if hidden else IMAGE_OK,
        "image_url": url,
        "seed": output.seed,
    }


NO_LABEL = {"confidence": None, "label": "nonLabel"}


def _temporary(job: Job, base_url: str) -> dict[str, Any]:
    shown = Preview.objects.filter(job=job).exists()
    left = outlook(job).ends_in_s
    return {
        "progress": round(progress_of(job), 4),
        "etaRelative": None if left is None else round(left, 1),
        "currentStep": job.step,
        "totalStep": job.steps,
        "temporaryImage": preview_url(job, base_url) if shown else None,
    }
