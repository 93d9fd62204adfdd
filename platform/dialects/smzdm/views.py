"""Each parses, calls one function, renders."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.admission import idempotency
from jobs.admission.admit import admit, admitted_with
from jobs.admission.idempotency import Idempotency
from jobs.admission.submission import Submission
from jobs.errors import Refused
from jobs.execution import lifecycle
from jobs.execution.completion_waiter import wait_for
from jobs.images import signed_urls
from jobs.models import Job

from .authentication import DIALECT, Caller, caller
from .base import WireView
from .errors import Code, WireError, envelope
from .request.background_removal import cut_outs
from .request.fields import ChangeBackgroundFields, CutOutFields
from .request.json_body import read_object
from .request.submission import change_background
from .response import outcome


class ChangeBackground(WireView):
    """Waits for the pictures, or answers at once and calls back."""

    def post(self, request: Request) -> Response:
        asked = ChangeBackgroundFields.model_validate(read_object(request._request))
        who = caller(request._request, asked.sender)
        job = self._known(request, who) or self._admit(change_background(who, asked, request._request))
        if asked.calls_back:
            return Response(envelope([]))
        done = ended(job, is_known_again=self.idempotency is not None)
        return Response(outcome(done, signed_urls.base_url(request._request)))

    def _known(self, request: Request, who: Caller) -> Job | None:
        """Before any picture is fetched a second time."""
        self.idempotency = idempotency.read(request._request)
        return admitted_with(who.source, DIALECT, self.idempotency)

    def _admit(self, submission: Submission) -> Job:
        return admit(replace(submission, idempotency=self.idempotency))


def ended(job: Job, *, is_known_again: bool) -> Job:
    """Nobody can ask for a job later, unless its client has a key to send it again with."""
    found = wait_for(job.pk, settings.JOB_WAIT_S)
    if found.is_terminal:
        return found
    if not is_known_again:
        lifecycle.cancel(job.pk, note="its client waited for too long")
    raise WireError(Code.BUSY, _("The pictures take longer than a client may wait. Use callback_url."))


class RemoveBackground(WireView):
    def post(self, request: Request) -> Response:
        began, base = time.monotonic(), signed_urls.base_url(request._request)
        asked = CutOutFields.model_validate(read_object(request._request))
        who, key = caller(request._request, asked.sender), idempotency.read(request._request)
        jobs = _admitted_before(who, asked, key) or _admitted(cut_outs(who, asked), key)
        told = [outcome(ended(job, is_known_again=key is not None), base) for job in jobs]
        if failed := next((each for each in told if each["error_code"]), None):
            return Response(failed)
        urls = [each["data"][0] for each in told]
        data = {"img": urls[0], "mask": urls[1] if asked.is_mask else ""}
        # Copying is a part of the jobs, and not measured apart.
        seconds = {"total_seconds": round(time.monotonic() - began, 3), "upload_img_seconds": 0}
        return Response(envelope(data) | seconds)


def _admitted_before(who: Caller, asked: CutOutFields, key: Idempotency | None) -> list[Job]:
    """All of them or none, before the picture is fetched a second time."""
    if key is None:
        return []
    parts = (key.of_part(index) for index in range(2 if asked.is_mask else 1))
    known = [admitted_with(who.source, DIALECT, part) for part in parts]
    return [job for job in known if job is not None] if all(known) else []


def _admitted(submissions: list[Submission], key: Idempotency | None) -> list[Job]:
    """All of them or none: nobody could ask for a half, unless its client has a key to send the request again with."""
    jobs: list[Job] = []
    try:
        for index, submission in enumerate(submissions):
            jobs.append(admit(replace(submission, idempotency=key.of_part(index) if key else None)))
    except Refused:
        if key is None:
            for job in jobs:
                lifecycle.cancel(job.pk, note="its other half was refused")
        raise
    return jobs


class Elsewhere(WireView):
    """Addresses that are no route."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise WireError(Code.UNSUPPORTED, _("There is no such address here."))


class Midjourney(WireView):
    def post(self, request: Request) -> Response:
        message = _("create_img_by_mj: there is no Midjourney here. Draw with another API of this platform.")
        raise WireError(Code.UNSUPPORTED, message)
