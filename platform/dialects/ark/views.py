"""The view of image generation: parses the body, admits a job, and waits for it or streams its results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.job_stream import StreamSlot
from dialects.waiting import RETRY_AFTER_S, wait_for_end
from dialects.warning_header import warning_headers
from jobs.admission.admit import admit, find_replay
from jobs.admission.prompts.language import prompt_warnings
from jobs.execution.thread_shares import NoFreeThread
from jobs.images.signed_urls import base_url
from jobs.models import Job

from .authentication import DIALECT
from .base import ArkView
from .errors import ArkError
from .request.fields import ImageRequest
from .request.json_body import read_body
from .request.submission import read_submission, watermark_warning
from .response.event_stream import ImageEvents
from .response.outcome import answer
from .response.unfinished import give_up

JOB_HEADER = "X-Job-Id"


class Images(ArkView):
    """Generates or edits images. The same ``Idempotency-Key`` finds the same job."""

    job: Job | None = None
    warning = ""
    can_be_repeated = False  # with an Idempotency-Key

    def post(self, request: Request) -> HttpResponseBase:
        fields = read_body(request._request)
        return self._stream(request, fields) if fields.stream else self._waited(request, fields)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the job's id, also to the response of a failed job, and the warnings about its label and prompts."""
        warnings = [self.warning]
        if self.job is not None:
            response[JOB_HEADER] = str(self.job.pk)
            warnings += prompt_warnings(self.job)
        for name, value in warning_headers(" ".join(filter(None, warnings))).items():
            response[name] = value
        return super().finalize_response(request, response, *args, **kwargs)

    def _waited(self, request: Request, fields: ImageRequest) -> Response:
        job = self._admitted(request, fields)
        try:
            job = wait_for_end(request._request, job, settings.JOB_WAIT_S)
        except NoFreeThread:
            give_up(job, can_be_repeated=self.can_be_repeated)
            raise _too_many_requests() from None
        if not job.is_terminal:
            raise give_up(job, can_be_repeated=self.can_be_repeated)
        return Response(answer(job, base_url(request._request)))

    def _stream(self, request: Request, fields: ImageRequest) -> HttpResponseBase:
        try:
            slot = StreamSlot(self.key.source_id)
        except NoFreeThread:
            raise _too_many_requests() from None
        try:
            job = self._admitted(request, fields)
        except BaseException:
            slot.release()
            raise
        base = base_url(request._request)
        return ImageEvents(job, slot, base, can_be_repeated=self.can_be_repeated).response()

    def _admitted(self, request: Request, fields: ImageRequest) -> Job:
        replay = find_replay(self.key.source, DIALECT, request._request)
        self.can_be_repeated = replay.idempotency is not None
        if replay.job is None:
            submission = read_submission(self.key, fields, base_url(request._request))
            self.job = admit(replace(submission, idempotency=replay.idempotency))
        else:
            self.job = replay.job
        self.warning = watermark_warning(fields, self.key.source, self.job.generation_request)
        return self.job


def _too_many_requests() -> ArkError:
    message = _("Too many requests of this source wait for their images. Try again in a few seconds.")
    return ArkError(429, "RateLimitExceeded", message, headers={"Retry-After": str(RETRY_AFTER_S)})
