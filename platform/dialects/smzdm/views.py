"""Each parses, calls one function, renders."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from jobs import lifecycle, picture_urls
from jobs.admission import Submission, admit, find_replay
from jobs.errors import Refused
from jobs.idempotency import Idempotency
from jobs.models import Job
from jobs.waiting import wait_for

from .authentication import DIALECT, caller
from .base import WireView
from .body import read_object
from .cut_outs import cut_outs
from .errors import Code, WireError, envelope
from .fields import ChangeBackgroundFields, CutOutFields
from .request import change_background
from .response import outcome


class ChangeBackground(WireView):
    """Waits for the pictures, or answers at once and calls back."""

    def post(self, request: Request) -> Response:
        asked = ChangeBackgroundFields.model_validate(read_object(request._request))
        who = caller(request._request, asked.sender)
        replay = find_replay(who.source, DIALECT, request._request)
        job = replay.job
        if job is None:
            submission = change_background(who, asked, request._request)
            job = admit(replace(submission, idempotency=replay.idempotency))
        if asked.calls_back:
            return Response(envelope([]))
        done = ended(job, is_known_again=replay.idempotency is not None)
        return Response(outcome(done, picture_urls.base_url(request._request)))


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
        began, base = time.monotonic(), picture_urls.base_url(request._request)
        asked = CutOutFields.model_validate(read_object(request._request))
        who = caller(request._request, asked.sender)
        replay = find_replay(who.source, DIALECT, request._request, parts=2 if asked.is_mask else 1)
        key = replay.idempotency
        jobs = replay.jobs or _admitted(cut_outs(who, asked), key)
        told = [outcome(ended(job, is_known_again=key is not None), base) for job in jobs]
        if failed := next((each for each in told if each["error_code"]), None):
            return Response(failed)
        urls = [each["data"][0] for each in told]
        data = {"img": urls[0], "mask": urls[1] if asked.is_mask else ""}
        # Copying is a part of the jobs, and not measured apart.
        seconds = {"total_seconds": round(time.monotonic() - began, 3), "upload_img_seconds": 0}
        return Response(envelope(data) | seconds)


def _admitted(submissions: list[Submission], key: Idempotency | None) -> tuple[Job, ...]:
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
    return tuple(jobs)


class Elsewhere(WireView):
    """Addresses that are no route."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise WireError(Code.UNSUPPORTED, _("There is no such address here."))


class Midjourney(WireView):
    def post(self, request: Request) -> Response:
        message = _("create_img_by_mj: there is no Midjourney here. Draw with another API of this platform.")
        raise WireError(Code.UNSUPPORTED, message)
