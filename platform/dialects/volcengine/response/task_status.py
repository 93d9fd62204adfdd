"""Asynchronous tasks: their ids of 19 digits, and ``data`` of CVGetResult."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from access.models import AccessKey
from dialects.volcengine.authentication import DIALECT
from dialects.volcengine.errors import ServiceError
from dialects.volcengine.request.json_body import Body, parsed
from dialects.volcengine.request.watermarks import logo_warning, read_labels, read_marks
from jobs.images.watermarked_copies import marked
from jobs.models import Job, State

from .image_data import failure_of, image_data

TASK_ID = re.compile(r"[0-9]{19}")
FIRST_ID, ID_COUNT = 10**18, 9 * 10**18
IN_QUEUE, GENERATING, DONE, NOT_FOUND, EXPIRED = "in_queue", "generating", "done", "not_found", "expired"


def new_id() -> str:
    """A random task id of 19 digits."""
    return str(FIRST_ID + secrets.randbelow(ID_COUNT))


def find(key: AccessKey, body: Body) -> Job | None:
    """The job of ``task_id``. None if it does not exist, has another source or style, or ended too long ago.

    Raises ServiceError: 50201 if a field is missing, 50215 for a malformed id.
    """
    style, task_id = body.required("req_key"), body.required("task_id")
    if not TASK_ID.fullmatch(task_id):
        raise ServiceError(50215)
    jobs = Job.objects.filter(source=key.source, dialect=DIALECT, external_id=task_id)
    job = jobs.select_related("source").first()
    if job is None or job.received["req_key"] != style:
        return None
    oldest = timezone.now() - timedelta(seconds=settings.VOLCENGINE_RESULT_AGE_S)
    return None if job.finished_at is not None and job.finished_at < oldest else job


def data(job: Job | None, body: Body, request: HttpRequest) -> dict[str, Any]:
    """``data`` of CVGetResult. Raises ServiceError if the task failed, or ``req_json`` is invalid."""
    options = _req_json(body)
    labels, marks, as_url = read_labels(options), read_marks(options), options.flag("return_url")
    if job is None or job.state == State.CANCELLED:
        return _status_only(NOT_FOUND)
    if job.state == State.EXPIRED:
        return _status_only(EXPIRED)
    if not job.is_terminal:
        return _status_only(GENERATING if job.state == State.RUNNING else IN_QUEUE)
    if failure := failure_of(job):
        raise failure
    # Outputs of a task that was submitted with a logo or marks already have them; no second set is added.
    own = job.generation_request
    outputs = marked(job, () if own.labels else labels, () if own.marks else marks)
    tagged = {"aigc_meta_tagged": True} if marks else {}
    return {"status": DONE, **image_data(job, request, outputs, as_url=as_url), **tagged}


def label_warning(job: Job | None, body: Body) -> str:
    """What is said if ``req_json`` asks for images without a label, and the source's are labeled."""
    return logo_warning(_req_json(body), job.source, job.generation_request) if job else ""


def _req_json(body: Body) -> Body:
    """The object of ``req_json``, which is JSON in a string."""
    text = body.text("req_json").strip()
    return parsed(text, "req_json.") if text else Body({})


def _status_only(status: str) -> dict[str, Any]:
    return {"status": status, "binary_data_base64": [], "image_urls": None, "resp_data": ""}
