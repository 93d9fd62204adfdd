"""Each parses, calls one function, renders."""

from __future__ import annotations

from dataclasses import replace

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from jobs import idempotency, lifecycle, picture_urls
from jobs.admission import Submission, admit, admitted_with
from jobs.models import Job
from jobs.waiting import wait_for

from .authentication import DIALECT, Caller, caller
from .base import WireView
from .body import read_object
from .errors import Code, WireError, envelope
from .fields import ChangeBackgroundFields
from .request import change_background
from .response import outcome


class ChangeBackground(WireView):
    """Waits for the pictures, or answers at once and calls back."""

    def post(self, request: Request) -> Response:
        asked = ChangeBackgroundFields.model_validate(read_object(request._request))
        who = caller(request._request, asked.sender)
        job = self._known(request, who) or self._admit(change_background(who, asked, request._request))
        if asked.calls_back:
            return Response(envelope([]))
        return Response(outcome(self._ended(job), picture_urls.base_url(request._request)))

    def _known(self, request: Request, who: Caller) -> Job | None:
        """Before any picture is fetched a second time."""
        self.idempotency = idempotency.read(request._request)
        return admitted_with(who.source, DIALECT, self.idempotency)

    def _admit(self, submission: Submission) -> Job:
        return admit(replace(submission, idempotency=self.idempotency))

    def _ended(self, job: Job) -> Job:
        """Nobody can ask for a job later, unless its client has a key to send it again with."""
        ended = wait_for(job.pk, settings.JOB_WAIT_S)
        if ended.is_terminal:
            return ended
        if self.idempotency is None:
            lifecycle.cancel(job.pk, note="its client waited for too long")
        raise WireError(Code.BUSY, _("The pictures take longer than a client may wait. Use callback_url."))


class RemoveBackground(WireView):
    """Cutting a product out is a part of change_background's job, and no job by itself yet."""

    def post(self, request: Request) -> Response:
        message = _("rembg_img: pictures are not cut out here without getting a new background.")
        raise WireError(Code.UNSUPPORTED, message)


class Midjourney(WireView):
    def post(self, request: Request) -> Response:
        message = _("create_img_by_mj: there is no Midjourney here. Draw with another API of this platform.")
        raise WireError(Code.UNSUPPORTED, message)
