"""Views for generation, progress, interrupt and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.a1111.schema.query import body_value, query_value
from dialects.waiting import wait_for_end
from jobs.admission.admit import Replay, admit_or_find, find_replay
from jobs.errors import Refused
from jobs.execution.thread_shares import NoFreeThread
from jobs.images.signed_urls import base_url
from jobs.models import Job, State
from jobs.selectors import job_get

from .authentication import DIALECT
from .base import A1111View
from .errors import WireError
from .options import options
from .refusals import refusal
from .request import extras, interrogate
from .request.submission import ParsedRequest, read_request
from .response import interrupt, progress
from .response.generation import JOB_HEADER, outcome
from .response.png_info import png_info
from .schema.coercion import boolean, integer, string
from .schema.json_body import read_object


class Generation(A1111View):
    """Submit a job and wait for it.

    A repeated ``force_task_id`` or ``Idempotency-Key`` waits for the first job.
    """

    operation = ""
    wire_names: Mapping[str, str] = {}  # wire names that differ from those of generation requests

    def post(self, request: Request) -> Response:
        replay = self._replay(request)
        job = replay.job or self._admit(request, replay)
        try:
            ended = wait_for_end(request._request, job, settings.JOB_WAIT_S)
        except NoFreeThread:
            ended = job  # the response says where to get the result
        return Response(outcome(ended), headers={JOB_HEADER: str(job.id)})

    def _replay(self, request: Request) -> Replay:
        try:
            return find_replay(self.key.source, DIALECT, request._request)
        except Refused as refused:
            raise refusal(refused, "") from refused

    def _admit(self, request: Request, replay: Replay) -> Job:
        parsed = self.parse(read_object(request._request), base_url(request._request))
        submission = replace(parsed.submission, idempotency=replay.idempotency)
        try:
            job, is_new = admit_or_find(submission)
        except Refused as refused:
            raise refusal(refused, submission.request.checkpoint, self.wire_names) from refused
        if is_new and parsed.option_changes:
            options.store(self.key, parsed.option_changes)
        return job

    def parse(self, body: dict[str, Any], base: str) -> ParsedRequest:
        return read_request(self.operation, self.key, body, base)


class Extras(Generation):
    """Submit an upscaling job and wait for it."""

    wire_names = extras.WIRE_NAMES

    def parse(self, body: dict[str, Any], base: str) -> ParsedRequest:
        return ParsedRequest(extras.read_submission(self.operation, self.key, body, base))


class Interrogate(Generation):
    """Submit an analysis by a tagger and wait for its tags; or describe the image with the vision model, without a job."""

    operation = interrogate.OPERATION
    wire_names: Mapping[str, str] = {"tagger": "model"}

    def post(self, request: Request) -> Response:
        body = read_object(request._request)
        if not interrogate.is_for_captioner(body):
            return super().post(request)
        try:
            return Response({"caption": interrogate.described(self.key, body, base_url(request._request))})
        except Refused as refused:
            raise refusal(refused, "", self.wire_names) from refused

    def parse(self, body: dict[str, Any], base: str) -> ParsedRequest:
        return ParsedRequest(interrogate.read_submission(self.key, body, base))


class JobResult(A1111View):
    """State of a job by id, and its response once it has ended. Not part of the original API."""

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


class Progress(A1111View):
    def get(self, request: Request) -> Response:
        skip = query_value(request, "skip_current_image", boolean, False)
        return Response(progress.progress(self.key, with_preview=not skip))


class Interrupt(A1111View):
    def post(self, request: Request) -> Response:
        interrupt.interrupt(self.key)
        return Response({})


class Skip(A1111View):
    def post(self, request: Request) -> Response:
        interrupt.skip(self.key)
        return Response(None)


class Options(A1111View):
    def get(self, request: Request) -> Response:
        return Response(options.rendered(self.key))

    def post(self, request: Request) -> Response:
        options.write(self.key, read_object(request._request))
        return Response(None)


class PngInfo(A1111View):
    def post(self, request: Request) -> Response:
        return Response(png_info(self.key, read_object(request._request), base_url(request._request)))


class TaskProgress(A1111View):
    def post(self, request: Request) -> Response:
        body = read_object(request._request)
        task_id = body_value(body, "id_task", string, None)
        with_preview = body_value(body, "live_preview", boolean, True)
        seen = body_value(body, "id_live_preview", integer, -1)
        return Response(progress.task(self.key, task_id, with_preview=with_preview, seen=seen))


class PendingTasks(A1111View):
    def get(self, request: Request) -> Response:
        names = [job.external_id or str(job.id) for job in progress.active(self.key)]
        return Response({"size": len(names), "tasks": names})
