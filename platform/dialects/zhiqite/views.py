"""Drawing, asking for tasks, lists: each parses, calls one function, renders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from access.models import AccessKey
from jobs.models import Job
from jobs.picture_urls import base_url

from . import request_v2, tasks
from .base import ZhiqiteView
from .body import Id, Wire, read
from .errors import success
from .fields_v2 import Drawing
from .listings import Query


class DrawV2(ZhiqiteView):
    operation = ""

    def post(self, request: Request) -> Response:
        asked, base = read(Drawing, request), base_url(request._request)
        job = self.admitted(
            request, partial(request_v2.read_submission, self.operation, self.key, asked, base)
        )
        return success({"task_id": job.external_id})


class TaskQuery(Wire):
    businessTaskId: Id


class TaskState(ZhiqiteView):
    find: Callable[[AccessKey, str], Job] = staticmethod(tasks.recent_drawing_of)
    render: Callable[[Job, str], dict[str, Any]] = staticmethod(tasks.realtime)

    def post(self, request: Request) -> Response:
        job = self.find(self.key, read(TaskQuery, request).businessTaskId)
        return success(self.render(job, base_url(request._request)))


class List(ZhiqiteView):
    query: type[Query] = Query

    def post(self, request: Request) -> Response:
        return success(read(self.query, request).page(self.key.source))
