"""Tasks of the asynchronous pair, by the 19 digits that the client was given."""

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
from dialects.volcengine.request.watermarks import read_labels, read_marks
from jobs.images.watermarked_copies import marked
from jobs.models import Job, State

from .image_data import failure_of, picture_data

TASK_ID = re.compile(r"[0-9]{19}")
FIRST, COUNT = 10**18, 9 * 10**18
IN_QUEUE, GENERATING, DONE, NOT_FOUND, EXPIRED = "in_queue", "generating", "done", "not_found", "expired"


def new_id() -> str:
    return str(FIRST + secrets.randbelow(COUNT))


def find(key: AccessKey, body: Body) -> Job | None:
    """None for what is not there, is another source's or another style's, or has ended too long ago."""
    style, task_id = body.needed("req_key"), body.needed("task_id")
    if not TASK_ID.fullmatch(task_id):
        raise ServiceError(50215)
    jobs = Job.objects.filter(source=key.source, dialect=DIALECT, external_id=task_id)
    job = jobs.select_related("source").first()
    if job is None or job.received["req_key"] != style:
        return None
    oldest = timezone.now() - timedelta(seconds=settings.VOLCENGINE_RESULT_AGE_S)
    return None if job.finished_at is not None and job.finished_at < oldest else job


def data(job: Job | None, body: Body, request: HttpRequest) -> dict[str, Any]:
    """``data`` of CVGetResult. Raises ServiceError for a task that failed."""
    wanted = _wanted(body)
    labels, marks, as_url = read_labels(wanted), read_marks(wanted), wanted.flag("return_url")
    if job is None or job.state == State.CANCELLED:
        return _without_picture(NOT_FOUND)
    if job.state == State.EXPIRED:
        return _without_picture(EXPIRED)
    if not job.is_terminal:
        return _without_picture(GENERATING if job.state == State.RUNNING else IN_QUEUE)
    if failure := failure_of(job):
        raise failure
    # A task that was submitted with a logo or marks has them; a second set is not put over the first.
    own = job.generation_request
    outputs = marked(job, () if own.labels else labels, () if own.marks else marks)
    tagged = {"aigc_meta_tagged": True} if marks else {}
    return {"status": DONE, **picture_data(job, request, outputs, as_url=as_url), **tagged}


def _wanted(body: Body) -> Body:
    """``req_json`` is JSON within JSON."""
    text = body.text("req_json").strip()
    return parsed(text, "req_json.") if text else Body({})


def _without_picture(status: str) -> dict[str, Any]:
    return {"status": status, "binary_data_base64": [], "image_urls": None, "resp_data": ""}
