"""The views of this dialect: each parses, calls one function, renders."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.admission.admit import admit, find_replay
from jobs.admission.submission import Submission
from jobs.execution import lifecycle
from jobs.execution.completion_waiter import wait_for
from jobs.images import signed_urls
from jobs.models import Job

from .authentication import DIALECT, Caller, caller
from .base import SmzdmView
from .errors import Code, WireError, envelope
from .request.background_removal import cut_out
from .request.fields import ChangeBackgroundFields, CutOutFields
from .request.json_body import read_object
from .request.submission import change_background
from .response import outcome


class JobView(SmzdmView):
    """A route whose requests become jobs."""

    def admitted(self, request: Request, who: Caller, read: Callable[[], Submission]) -> Job:
        """The job. A repeated Idempotency-Key gets the first one, and fetches no image again."""
        self.replay = find_replay(who.source, DIALECT, request._request)
        return self.replay.job or admit(replace(read(), idempotency=self.replay.idempotency))

    def ended(self, job: Job) -> Job:
        """Waits for the end. A job that no client could find again is cancelled when the time is over."""
        found = wait_for(job.pk, settings.JOB_WAIT_S)
        if found.is_terminal:
            return found
        if self.replay.idempotency is None:
            lifecycle.cancel(job.pk, note="its client waited for too long")
        raise WireError(Code.BUSY, _("The pictures take longer than a client may wait. Use callback_url."))


class ChangeBackground(JobView):
    """Waits for the images, or answers at once and calls back."""

    def post(self, request: Request) -> Response:
        asked = ChangeBackgroundFields.model_validate(read_object(request._request))
        who = caller(request._request, asked.sender)
        job = self.admitted(request, who, lambda: change_background(who, asked, request._request))
        if asked.calls_back:
            return Response(envelope([]))
        return Response(outcome(self.ended(job), signed_urls.base_url(request._request)))


class RemoveBackground(JobView):
    def post(self, request: Request) -> Response:
        began, base = time.monotonic(), signed_urls.base_url(request._request)
        asked = CutOutFields.model_validate(read_object(request._request))
        who = caller(request._request, asked.sender)
        job = self.admitted(request, who, lambda: cut_out(who, asked))
        told = outcome(self.ended(job), base)
        if told["error_code"]:
            return Response(told)
        data = {"img": "", "mask": ""} | dict(zip(("img", "mask"), told["data"], strict=False))
        # Copying is a part of the job, and not measured apart.
        seconds = {"total_seconds": round(time.monotonic() - began, 3), "upload_img_seconds": 0}
        return Response(envelope(data) | seconds)


class Midjourney(SmzdmView):
    def post(self, request: Request) -> Response:
        message = _("create_img_by_mj: there is no Midjourney here. Draw with another API of this platform.")
        raise WireError(Code.UNSUPPORTED, message)
