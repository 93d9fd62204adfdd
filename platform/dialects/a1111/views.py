"""Drawing, watching, stopping, options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import AccessKey
from jobs.admission import Replay, Submission, admit, find_replay
from jobs.errors import Refused
from jobs.models import Job, State
from jobs.selectors import job_get
from jobs.waiting import wait_for

from . import control, extras, options, progress
from .authentication import DIALECT
from .base import WireView
from .body import read_object
from .coercion import Coercion, Invalid, boolean, integer, string
from .errors import Unprocessable, WireError
from .limits import refusal
from .png_info import png_info
from .request import read_submission
from .response import JOB_HEADER, outcome


class Generation(WireView):
    """Draws and waits. The same ``force_task_id`` or ``Idempotency-Key`` waits for the same job again."""

    operation = ""
    wire_names: Mapping[str, str] = {}  # where the request's differ from a drawing's
    read: Callable[[str, AccessKey, dict[str, Any]], Submission] = staticmethod(read_submission)

    def post(self, request: Request) -> Response:
        replay = self._replay(request)
        job = replay.job or self._admit(request, replay)
        ended = wait_for(job.id, settings.JOB_WAIT_S)
        return Response(outcome(ended), headers={JOB_HEADER: str(job.id)})

    def _replay(self, request: Request) -> Replay:
        try:
            return find_replay(self.key.source, DIALECT, request._request)
        except Refused as refused:
            raise refusal(refused, "") from refused

    def _admit(self, request: Request, replay: Replay) -> Job:
        submission = self.read(self.operation, self.key, read_object(request._request))
        try:
            return admit(replace(submission, idempotency=replay.idempotency))
        except Refused as refused:
            raise refusal(refused, submission.request.checkpoint, self.wire_names) from refused


class Extras(Generation):
    """Enlarges and waits."""

    read = staticmethod(extras.read_submission)
    wire_names = extras.WIRE_NAMES


class JobResult(WireView):
    """Ours, not the original's: a job's state by its id, and its answer once it has one."""

    def get(self, request: Request, job_id: str) -> Response:
        job = self._job(job_id)
        body: dict[str, Any] = {
            "id": str(job.id),
            "state": job.state,
            "progress": progress.fraction_done(job),
        }
        if job.state in (State.SUCCEEDED, State.CANCELLED):
            body |= outcome(job)
        elif job.is_terminal:
            body |= {"error_code": job.error_code, "errors": job.error_message}
        return Response(body, headers={JOB_HEADER: str(job.id)})

    def _job(self, job_id: str) -> Job:
        try:
            job = job_get(self.key.source, job_id)
        except Job.DoesNotExist:
            job = None
        if job is None or job.dialect != DIALECT:
            raise WireError(404, detail="Job not found")
        return job


class Progress(WireView):
    def get(self, request: Request) -> Response:
        skip = query_value(request, "skip_current_image", boolean, False)
        return Response(progress.progress(self.key, with_picture=not skip))


class Interrupt(WireView):
    def post(self, request: Request) -> Response:
        control.interrupt(self.key)
        return Response({})


class Skip(WireView):
    def post(self, request: Request) -> Response:
        control.skip(self.key)
        return Response(None)


class Options(WireView):
    def get(self, request: Request) -> Response:
        return Response(options.rendered(self.key))

    def post(self, request: Request) -> Response:
        options.write(self.key, read_object(request._request))
        return Response(None)


class PngInfo(WireView):
    def post(self, request: Request) -> Response:
        return Response(png_info(self.key, read_object(request._request)))


class TaskProgress(WireView):
    def post(self, request: Request) -> Response:
        body = read_object(request._request)
        task_id = _member(body, "id_task", string, None)
        with_picture = _member(body, "live_preview", boolean, True)
        seen = _member(body, "id_live_preview", integer, -1)
        return Response(progress.task(self.key, task_id, with_picture=with_picture, seen=seen))


class PendingTasks(WireView):
    def get(self, request: Request) -> Response:
        names = [job.external_id or str(job.id) for job in progress.active(self.key)]
        return Response({"size": len(names), "tasks": names})


def query_value(request: Request, name: str, coerce: Coercion, default: Any) -> Any:
    return _value(request.query_params, "query", name, coerce, default)


def _member(body: dict[str, Any], name: str, coerce: Coercion, default: Any) -> Any:
    return _value(body, "body", name, coerce, default)


def _value(values: Any, place: str, name: str, coerce: Coercion, default: Any) -> Any:
    value = values.get(name)
    try:
        return default if value is None else coerce(value)
    except Invalid as error:
        raise Unprocessable([error.at((place, name))]) from None
