"""Status of a task. Clients choose the id; if they reuse one, the newest job of their key is found."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone

from access.models import AccessKey
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from dialects.zhiqite.request.tools.base import TOOL
from jobs.images.signed_urls import output_url, output_urls, preview_url
from jobs.models import ACTIVE, Backend, Job, Output, Preview, State
from jobs.scheduling.eta import outlook, progress_of

from . import findings

QUEUED, SUCCESS, RUNNING, FAILED, REJECTED = 1, 2, 3, 4, 5
DESCRIPTIONS = {
    QUEUED: "任务排队中",
    SUCCESS: "任务成功 !",
    RUNNING: "任务执行中",
    FAILED: "任务失败",
    REJECTED: "任务审核不通过",
}
IMAGE_OK, IMAGE_BLOCKED = 1, 2
# Tools and trainings have queries of their own.
GENERATIONS = ~Q(operation__startswith=TOOL) & ~Q(backend=Backend.TRAINING)
HIDING_POLICIES = ("blur", "blank")


def find_generation(key: AccessKey, task_id: str) -> Job:
    """The newest generation job of the id. Raises WireError if this key has none."""
    return _newest(key, task_id, GENERATIONS)


def find_recent_generation(key: AccessKey, task_id: str) -> Job:
    """As ``find_generation``, of jobs that are active, or were created or finished in the current month."""
    month = start_of_month()
    recent = Q(state__in=ACTIVE) | Q(created_at__gte=month) | Q(finished_at__gte=month)
    return _newest(key, task_id, GENERATIONS & recent)


def find_tool_task(key: AccessKey, task_id: str, code: str) -> Job:
    """The newest job of the id and the tool. Raises WireError if this key has none."""
    return _newest(key, task_id, Q(operation=TOOL + code))


def start_of_month() -> datetime:
    """Start of the current month, in local time."""
    return timezone.localtime().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _newest(key: AccessKey, task_id: str, condition: Q) -> Job:
    # The source is implied by the key; it is in the filter because the index begins with it.
    jobs = Job.objects.filter(condition, source=key.source, external_id=task_id, dialect=DIALECT, key=key)
    job = jobs.select_related("source").order_by("-created_at").first()
    if job is None:
        raise WireError.unknown_task()
    return job


def status(job: Job) -> int:
    """Status code of a job. Clients poll on 1 and 3, succeed on 2, and fail on anything else."""
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
    """``data`` of the realtime query."""
    return {
        "id_task": job.external_id,
        "status": status(job),
        "desc": description(job),
        "temporaryImageDto": None if job.is_terminal else _temporary(job, base_url),
        "differentialImageRspList": rows(job, base_url),
    }


def archived(job: Job, base_url: str) -> dict[str, Any]:
    """``data`` of the archive query."""
    return {
        "task_id": job.external_id,
        "status": status(job),
        "desc": "success" if status(job) == SUCCESS else description(job),
        "differentialImageRspList": rows(job, base_url),
    }


def tool(job: Job, base_url: str) -> dict[str, Any]:
    """``data`` of a tool's query: the URL of the first output, those of all, and what was found."""
    urls = output_urls(job, base_url)
    return {
        "taskId": str(job.pk),
        "businessTaskId": job.external_id,
        "status": status(job),
        "desc": description(job),
        "outputImageUrl": urls[0] if urls else None,
        "outputImageUrls": urls,
        **({"outputVideoUrl": urls[0] if urls else None} if job.request.get("video") else {}),
        **findings.fields_of(job, urls),
    }


CAPTIONED = 1  # ``status`` of the vendor's documented response of interrogate


def captioned(task_id: str, external_id: str, caption: str | None) -> dict[str, Any]:
    """``data`` of interrogate, as the vendor documents it. ``caption`` is None while the task is not done."""
    return {"taskId": task_id, "businessTaskId": external_id, "status": CAPTIONED, "caption": caption}


def interrogated(job: Job, base_url: str) -> dict[str, Any]:
    """``data`` of interrogate for a job, finished or not. Raises WireError if it has failed."""
    if job.is_terminal and status(job) != SUCCESS:
        raise WireError(description(job))
    caption = tool(job, base_url).get("caption")
    return {"task_id": job.external_id, **captioned(str(job.pk), job.external_id, caption)}


def result_of(job: Job, base_url: str) -> dict[str, Any]:
    """``data`` of the query that belongs to the job's operation."""
    return (tool if job.operation.startswith(TOOL) else realtime)(job, base_url)


def description(job: Job) -> str:
    """The vendor's description of the status, with the error message of a failed job."""
    text = DESCRIPTIONS[status(job)]
    return f"{text}: {job.error_message}" if job.error_message else text


def rows(job: Job, base_url: str) -> list[dict[str, Any]]:
    """``differentialImageRspList``: a row for each output."""
    return [_row(job, output, output_url(output, base_url)) for output in job.image_outputs]


def _row(job: Job, output: Output, url: str) -> dict[str, Any]:
    hidden = bool(output.nsfw) and job.request["nsfw"]["policy"] in HIDING_POLICIES
    return {
        "img_audit": findings.audit("nsfw" if output.nsfw else None, output.nsfw_score),
        "img_audit_status": not output.nsfw,
        "image_status": IMAGE_BLOCKED if hidden else IMAGE_OK,
        "image_url": url,
        "seed": output.seed,
    }


def _temporary(job: Job, base_url: str) -> dict[str, Any]:
    has_preview = Preview.objects.filter(job=job).exists()
    remaining_s = outlook(job).ends_in_s
    return {
        "progress": round(progress_of(job), 4),
        "etaRelative": None if remaining_s is None else round(remaining_s, 1),
        "currentStep": job.step,
        "totalStep": job.steps,
        "temporaryImage": preview_url(job, base_url) if has_preview else None,
    }
