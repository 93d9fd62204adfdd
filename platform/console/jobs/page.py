"""What the page of a job shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from access.models import Posting
from console.jobs import actions, live
from jobs import curl_export
from jobs.images import signed_urls
from jobs.models import Job, State, Transition
from jobs.models.callback import Callback

from .explanations import seconds as seconds_in_words

MOST_REPETITIONS = 20


@dataclass(frozen=True)
class Line:
    """Of the timeline: a change, and how long things stayed as it left them."""

    transition: Transition
    lasted: str = ""

    @property
    def label(self) -> str:
        return str(State(self.transition.to_state).label)


def context(job: Job, request: HttpRequest, *, may_operate: bool) -> dict[str, Any]:
    callback = Callback.objects.filter(job=job).prefetch_related("history").first()
    return {
        "job": job,
        "live": None if job.is_terminal else live.progress(job),
        "ran_for": _shown(run_seconds(job)),
        "timeline": timeline(job),
        "pictures": list(job.pictures),
        "control_maps": job.control_maps.count(),
        "received": _pretty(job.received),
        "understood": _pretty(job.request),
        "files": [{"name": name, **file} for name, file in job.files.items()],
        "postings": list(Posting.objects.filter(job_id=job.pk).order_by("id")),
        "callback": callback,
        "curls": curl_export.commands(job, signed_urls.base_url(request)),
        "repetitions": list(
            job.repetitions.only("state", "created_at").order_by("created_at")[:MOST_REPETITIONS]
        ),
        "may_cancel": may_operate and actions.may_cancel(job),
        "may_retry": may_operate and actions.may_retry(job),
        "may_rerun": may_operate and actions.may_rerun(job),
        "may_replay": callback is not None
        and callback.state in actions.REPLAYED
        and request.user.has_perm("jobs.change_callback"),
    }


def timeline(job: Job) -> list[Line]:
    lines = list(job.transitions.all())
    if not lines:
        return []
    spans = [(after.at - before.at).total_seconds() for before, after in pairwise(lines)]
    shown = [Line(line, seconds_in_words(span)) for line, span in zip(lines, spans, strict=False)]
    last = lines[-1]
    until_now = "" if job.is_terminal else seconds_in_words((timezone.now() - last.at).total_seconds())
    return [*shown, Line(last, until_now)]


def run_seconds(job: Job, now: datetime | None = None) -> float | None:
    """Of its last attempt; None if there was none."""
    if job.started_at is None:
        return None
    return ((job.finished_at or now or timezone.now()) - job.started_at).total_seconds()


def _shown(span: float | None) -> str:
    return "" if span is None else seconds_in_words(span)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
