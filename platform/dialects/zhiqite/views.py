"""Views of generation, tools, task status and lists: each parses the body, calls one function, and renders."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import AccessKey
from dialects.waiting import wait_for_end
from jobs.admission.submission import Submission
from jobs.execution.thread_shares import NoFreeThread
from jobs.images.signed_urls import base_url
from jobs.models import Job

from . import field_names
from .base import ZhiqiteView
from .errors import WireError, success
from .request import submission_v2, submission_v3
from .request.fields_v2 import GenerationV2
from .request.json_body import Id, Wire, read
from .request.text_tools import TEXT_TOOLS
from .request.tools.analysis_tools import INTERROGATE, Interrogate
from .request.tools.catalog import TOOLS, read_submission
from .request.tools.unsupported import NO_VIDEO, REFUSED, REFUSED_AREAS
from .request.tools.video_tools import IMAGE_TO_VIDEO, is_available
from .response import task_status
from .response.listings import Checkpoints, Query


class GenerateV2(ZhiqiteView):
    operation = ""

    def post(self, request: Request) -> Response:
        job = self.admitted(request, partial(self._submission, request))
        return success({"task_id": job.external_id})

    def _submission(self, request: Request) -> Submission:
        body = read(GenerationV2, request)
        return submission_v2.read_submission(self.operation, self.key, body, base_url(request._request))


class GenerateV3(ZhiqiteView):
    wire_names = field_names.V3
    operation = ""

    def post(self, request: Request) -> Response:
        job = self.admitted(request, partial(self._submission, request))
        return success({"task_id": job.external_id})

    def _submission(self, request: Request) -> Submission:
        body = read(submission_v3.BODIES[self.operation], request)
        return submission_v3.read_submission(self.operation, self.key, body, base_url(request._request))


class SubmitTool(ZhiqiteView):
    wire_names = field_names.TOOLS

    def post(self, request: Request, code: str) -> Response:
        if code in REFUSED:
            raise refused_tool(code, REFUSED[code])
        if code in TEXT_TOOLS:
            return success(read(TEXT_TOOLS[code], request).response(self.key, code))
        if code not in TOOLS:
            raise WireError("Not Found", status=404)
        if code == IMAGE_TO_VIDEO and not is_available(self.key.source):
            raise refused_tool(code, NO_VIDEO)
        self.wire_names = TOOLS[code].wire_names
        job = self.admitted(request, partial(self._submission, request, code))
        return success({"task_id": job.external_id})

    def _submission(self, request: Request, code: str) -> Submission:
        body = read(TOOLS[code], request)
        return read_submission(code, self.key, body, base_url(request._request))


class InterrogateImage(ZhiqiteView):
    """Waits for the tags, because the vendor's response has them; not for a request with a callback."""

    wire_names = field_names.TOOLS

    def post(self, request: Request) -> Response:
        body = read(Interrogate, request)
        base = base_url(request._request)
        if body.is_described(self.key.source):
            caption = body.description(self.key, base)
            return success(task_status.captioned(body.businessTaskId, body.businessTaskId, caption))
        job = self.admitted(request, lambda: read_submission(INTERROGATE, self.key, body, base))
        if not body.callbackUrl:
            with suppress(NoFreeThread):
                job = wait_for_end(request._request, job, settings.JOB_WAIT_S)
        return success(task_status.interrogated(job, base))


class RefusedArea(ZhiqiteView):
    """All paths of an area of the vendor's menu that is not supported."""

    def post(self, request: Request, area: str, rest: str) -> Response:
        raise refused_tool(f"{area}/{rest}", REFUSED_AREAS[area])


def refused_tool(name: str, reason: object) -> WireError:
    """The error of a tool that is not supported."""
    return WireError(_("%(tool)s: %(reason)s") % {"tool": name, "reason": reason}, status=501)


class TaskQuery(Wire):
    businessTaskId: Id


class TaskState(ZhiqiteView):
    find: Callable[[AccessKey, str], Job] = staticmethod(task_status.find_recent_generation)
    render: Callable[[Job, str], dict[str, Any]] = staticmethod(task_status.realtime)

    def post(self, request: Request) -> Response:
        job = self.find(self.key, read(TaskQuery, request).businessTaskId)
        return success(self.render(job, base_url(request._request)))


class ToolState(ZhiqiteView):
    def post(self, request: Request, code: str) -> Response:
        if code in REFUSED:
            raise refused_tool(code, REFUSED[code])
        if code in TEXT_TOOLS:
            message = _("%(tool)s has no tasks: the response has the result.") % {"tool": code}
            raise WireError(message, status=404)
        job = task_status.find_tool_task(self.key, read(TaskQuery, request).businessTaskId, code)
        return success(task_status.tool(job, base_url(request._request)))


class List(ZhiqiteView):
    query: type[Query] = Checkpoints

    def post(self, request: Request) -> Response:
        return success(read(self.query, request).page(self.key.source))
