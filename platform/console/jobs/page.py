"""Template context of a job's page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from access.models import Posting
from access.source_settings.prompt_modes import PromptMode
from console.jobs import actions, live, reproduction
from jobs.admission.prompts.rewriting import texts_of
from jobs.api_reference.dialects import repeats
from jobs.api_reference.examples.texts import texts
from jobs.images import signed_urls
from jobs.models import Job, State, Transition
from jobs.models.callback import Callback

from . import input_images
from .explanations import format_seconds

MAX_REPETITIONS = 20


@dataclass(frozen=True)
class TimelineEntry:
    """A state transition, and how long the job stayed in the new state."""

    transition: Transition
    lasted: str = ""

    @property
    def label(self) -> str:
        return str(State(self.transition.to_state).label)

    @property
    def note(self) -> str:
        return "; ".join(filter(None, [self.transition.note, self._ignored]))

    @property
    def _ignored(self) -> str:
        if not self.transition.ignored_fields:
            return ""
        job = self.transition.job
        values = {
            "template": job.workflow.name if job.workflow else "",
            "fields": ", ".join(self.transition.ignored_fields),
        }
        return _("The workflow %(template)s ignores %(fields)s.") % values


def context(job: Job, request: HttpRequest, *, may_operate: bool) -> dict[str, Any]:
    callback = Callback.objects.filter(job=job).prefetch_related("history").first()
    calls = repeats(job, signed_urls.base_url(request))
    return {
        "job": job,
        "live": None if job.is_terminal else live.progress(job),
        "ran_for": _formatted(run_seconds(job)),
        "timeline": timeline(job),
        "images": list(job.image_outputs),
        "beside": input_images.beside_results(job),
        "findings": job.image_findings,
        "control_maps": job.control_maps.count(),
        "received": _indented_json(job.received),
        "parsed": _indented_json(job.request),
        "files": [{"name": name, **file} for name, file in job.files.items()],
        "postings": list(Posting.objects.filter(job_id=job.pk).order_by("id")),
        "callback": callback,
        "rewritten": rewritten(job),
        "prompt_mode": PromptMode(job.rewriting["mode"]).label if job.rewriting else "",
        "examples": [(each.dialect, texts(each.call)) for each in calls if each.call],
        "not_repeatable": [each for each in calls if each.reason],
        "repetitions": list(
            job.repetitions.only("state", "created_at").order_by("created_at")[:MAX_REPETITIONS]
        ),
        "may_cancel": may_operate and actions.may_cancel(job),
        "may_retry": may_operate and actions.may_retry(job),
        "reproduction": reproduction.context(job),
        "may_reproduce": may_operate,
        "may_rerun": may_operate and actions.may_rerun(job),
        "may_replay": callback is not None
        and callback.state in actions.REPLAYABLE
        and request.user.has_perm("jobs.change_callback"),
    }


@dataclass(frozen=True)
class RewrittenText:
    """A prompt that the text model changed."""

    field: str
    written: str
    drawn: str


def rewritten(job: Job) -> list[RewrittenText]:
    """The prompts of a job that the text model changed."""
    drawn = texts_of(job.generation_request) if job.rewriting else {}
    return [
        RewrittenText(field, text, drawn.get(field, ""))
        for field, text in job.rewriting.get("written", {}).items()
    ]


def timeline(job: Job) -> list[TimelineEntry]:
    """The job's state transitions, oldest first, each with the time until the next one."""
    transitions = list(job.transitions.all())
    if not transitions:
        return []
    entries = [
        TimelineEntry(before, format_seconds((after.at - before.at).total_seconds()))
        for before, after in pairwise(transitions)
    ]
    last = transitions[-1]
    until_now = "" if job.is_terminal else format_seconds((timezone.now() - last.at).total_seconds())
    return [*entries, TimelineEntry(last, until_now)]


def run_seconds(job: Job, now: datetime | None = None) -> float | None:
    """Duration of the last attempt in seconds; None if the job has not started."""
    if job.started_at is None:
        return None
    return ((job.finished_at or now or timezone.now()) - job.started_at).total_seconds()


def _formatted(span: float | None) -> str:
    return "" if span is None else format_seconds(span)


def _indented_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
