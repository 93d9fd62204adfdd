"""Views of images and models: each parses the request, calls one function, and renders."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.job_stream import StreamSlot
from dialects.waiting import RETRY_AFTER_S, wait_for_end
from jobs.admission.admit import Replay, admit, find_replay
from jobs.errors import Refused
from jobs.execution.thread_shares import NoFreeThread
from jobs.images.signed_urls import base_url
from jobs.models import Job, State
from jobs.selectors import job_get

from .authentication import DIALECT
from .base import OpenAIView, json_response
from .errors import APIError, failure
from .request.body import Body, read_body
from .request.fields import EditFields, GenerationFields, ImageFields, VariationFields
from .request.submission import EDITS, GENERATIONS, VARIATIONS, read_submission
from .response.event_stream import ImageStream
from .response.images import images_response, job_object
from .response.models import model_list, one_model
from .response.still_running import still_running

JOB_HEADER = "X-Job-Id"


class Images(OpenAIView):
    """Submits a job, and answers with its images, its events, or the job itself."""

    http_method_names = ["post"]
    operation = GENERATIONS
    fields: type[ImageFields] = GenerationFields

    def post(self, request: Request) -> HttpResponseBase:
        body = read_body(request._request)
        fields = self.fields.model_validate(body.fields)
        replay = find_replay(self.key.source, DIALECT, request._request, body.fingerprint)
        if fields.stream:
            return self._stream(lambda: self._job(replay, fields, body))
        job = self._job(replay, fields, body)
        if fields.is_async:
            return answer(job, base_url(request._request), may_be_running=True)
        return answer(waited(request, job), base_url(request._request))

    def _job(self, replay: Replay, fields: ImageFields, body: Body) -> Job:
        if replay.job is not None:
            return replay.job
        url = base_url(self.request._request)
        try:
            submission = read_submission(self.key, self.operation, fields, body.files, url)
            return admit(replace(submission, idempotency=replay.idempotency))
        except Refused as refused:
            params = {} if fields.steps else {"num_inference_steps": "quality"}
            raise APIError.of(refused, params) from refused

    def _stream(self, admitted: Callable[[], Job]) -> HttpResponseBase:
        try:
            slot = StreamSlot(self.key.source_id)
        except NoFreeThread:
            message = _("Too many open event streams. Close one, or send the request without stream.")
            code = "rate_limit_exceeded"
            raise APIError(429, code, message, code=code, retry_after=RETRY_AFTER_S) from None
        try:
            job = admitted()
            response = ImageStream(job, slot).response()
        except BaseException:
            slot.release()
            raise
        response[JOB_HEADER] = str(job.pk)
        return response


class Edits(Images):
    operation, fields = EDITS, EditFields


class Variations(Images):
    operation, fields = VARIATIONS, VariationFields


class OneJob(OpenAIView):
    http_method_names = ["get", "head"]

    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """The images of a job, or 202 with its state while it is not finished."""
        try:
            job = job_get(self.key.source, job_id)
        except Job.DoesNotExist:
            job = None
        if job is None or job.dialect != DIALECT:
            message = _("No such job: %(id)s.") % {"id": job_id}
            raise APIError(404, "invalid_request_error", message, code="job_not_found")
        return answer(job, base_url(request._request), may_be_running=True)


class Models(OpenAIView):
    http_method_names = ["get", "head"]

    def get(self, request: Request) -> Response:
        return json_response(model_list(self.key))


class OneModel(OpenAIView):
    http_method_names = ["get", "head"]

    def get(self, request: Request, name: str) -> Response:
        return json_response(one_model(self.key, name))


def waited(request: Request, job: Job) -> Job:
    """The job after its end, or as it is if the time is over or too many requests of the source wait."""
    try:
        return wait_for_end(request._request, job, settings.JOB_WAIT_S)
    except NoFreeThread:
        return job


def answer(job: Job, base: str, *, may_be_running: bool = False) -> Response:
    """The response for a job. Raises APIError if it failed, or if it is not finished and must be."""
    headers: dict[str, Any] = {JOB_HEADER: str(job.pk)}
    if job.state == State.SUCCEEDED:
        return json_response(images_response(job, base), **headers)
    if job.is_terminal:
        raise failure(job)
    if not may_be_running:
        raise still_running(job)
    headers["Retry-After"] = str(RETRY_AFTER_S)
    return json_response(job_object(job), 202, **headers)
