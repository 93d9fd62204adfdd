"""Views: each parses the body, calls one function, and renders."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.waiting import wait_for_end
from jobs.admission.admit import admit, find_replay
from jobs.admission.submission import Submission
from jobs.execution import lifecycle
from jobs.execution.thread_shares import NoFreeThread
from jobs.images import signed_urls
from jobs.models import Job

from .authentication import DIALECT, Caller, authenticate_caller
from .base import SmzdmView
from .errors import Code, WireError, envelope
from .request.background_removal import remove_background
from .request.fields import ChangeBackgroundFields, CutOutFields
from .request.json_body import read_object
from .request.submission import change_background
from .response import outcome

JOB_HEADER = "X-Job-Id"


class JobView(SmzdmView):
    """Base class of views that submit jobs. Their responses have the job's id in the header ``X-Job-Id``."""

    job: Job | None = None

    def admitted(self, request: Request, caller: Caller, read: Callable[[], Submission]) -> Job:
        """The job of the Idempotency-Key, looked up before the images are fetched, or a new one of ``read``."""
        self.replay = find_replay(caller.source, DIALECT, request._request)
        self.job = self.replay.job or admit(replace(read(), idempotency=self.replay.idempotency))
        return self.job

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the job's id, also to the response of a failed job or of one that takes too long."""
        if self.job is not None:
            response[JOB_HEADER] = str(self.job.pk)
        return super().finalize_response(request, response, *args, **kwargs)

    def wait_until_ended(self, request: HttpRequest, job: Job) -> Job:
        """Wait for the end, up to JOB_WAIT_S. Then a job without an Idempotency-Key is cancelled: its result could not be queried later."""
        try:
            finished = wait_for_end(request, job, settings.JOB_WAIT_S)
        except NoFreeThread:
            finished = job
        if finished.is_terminal:
            return finished
        if self.replay.idempotency is None:
            lifecycle.cancel(job.pk, note="cancelled: not finished within the maximum wait")
        raise WireError(Code.BUSY, _("The job takes longer than the maximum wait. Use callback_url."))


class ChangeBackground(JobView):
    """Returns the URLs of the outputs, or returns at once and calls back."""

    def post(self, request: Request) -> Response:
        body = ChangeBackgroundFields.model_validate(read_object(request._request))
        caller = authenticate_caller(request._request, body.sender)
        job = self.admitted(
            request, caller, lambda: change_background(caller, body, signed_urls.base_url(request._request))
        )
        if body.calls_back:
            return Response(envelope([]))
        return Response(
            outcome(self.wait_until_ended(request._request, job), signed_urls.base_url(request._request))
        )


class RemoveBackground(JobView):
    """Returns the URLs of the cut-out foreground and of its mask."""

    def post(self, request: Request) -> Response:
        started, base = time.monotonic(), signed_urls.base_url(request._request)
        body = CutOutFields.model_validate(read_object(request._request))
        caller = authenticate_caller(request._request, body.sender)
        job = self.admitted(request, caller, lambda: remove_background(caller, body, base))
        result = outcome(self.wait_until_ended(request._request, job), base)
        if result["error_code"]:
            return Response(result)
        data = {"img": "", "mask": ""} | dict(zip(("img", "mask"), result["data"], strict=False))
        # Copying to the storage target is a part of the job, and not measured separately.
        seconds = {"total_seconds": round(time.monotonic() - started, 3), "upload_img_seconds": 0}
        return Response(envelope(data) | seconds)


class Midjourney(SmzdmView):
    """A route of the vendor that this platform does not have."""

    def post(self, request: Request) -> Response:
        message = _("create_img_by_mj is not supported: Midjourney is not available.")
        raise WireError(Code.UNSUPPORTED, message)
