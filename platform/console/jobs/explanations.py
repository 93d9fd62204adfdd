"""What the policy thinks of a job, in words."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobs.models import Job, State
from jobs.scheduling.eta import JobEta
from jobs.scheduling.policy import Reason


def steps(job: Job) -> str:
    if job.state != State.RUNNING:
        return ""
    return _("step %(step)d of %(steps)d") % {"step": job.step, "steps": job.steps}


def why_not_yet(job: Job, told: JobEta) -> str:
    """Of a job that waits: what for, behind how many, until when. Of one that runs: when it ends. Else nothing."""
    if job.is_terminal:
        return ""
    parts = [_waits_for(job, told.reason), _position(told), _expected(job, told)]
    return " ".join(part for part in parts if part)


def _waits_for(job: Job, reason: Reason | None) -> str:
    if reason is None:
        return ""
    return {
        Reason.NEXT: _("It is next: a runner takes it now."),
        Reason.NO_RUNNER: _(
            "No runner can take it: none of its kind is enabled, seen lately, not draining and has what it needs."
        ),
        Reason.NO_FREE_SLOT: _("It waits for a free slot: every runner is full."),
        Reason.SOURCE_AT_CAP: _(
            "It waits for a job of its own source to end: %(source)s runs as many at once as it may."
        )
        % {"source": job.source},
        Reason.KEY_AT_CAP: _(
            "It waits for a job of its own key to end: %(key)s runs as many at once as it may."
        )
        % {"key": job.key},
        Reason.SUSPECT_WAITS: _(
            "A runner died under it. It is tried again alone, when no other such job is running."
        ),
        Reason.BEHIND_OTHERS: _(
            "Others go first: a more urgent lane, or a source that was served less lately."
        ),
    }[reason]


def _position(told: JobEta) -> str:
    if told.reason in {None, Reason.NEXT, Reason.NO_RUNNER} or not told.ahead:
        return ""
    return ngettext("%d job goes before it.", "%d jobs go before it.", told.ahead) % told.ahead


def _expected(job: Job, told: JobEta) -> str:
    if job.state == State.RUNNING:
        if told.ends_in_s is None:
            return ""
        return _("It should end in %(time)s.") % {"time": seconds(told.ends_in_s)}
    if told.starts_in_s is None:
        return _("Nobody can tell when it starts.")
    if told.reason == Reason.NEXT:
        return ""
    return _("It should start in %(time)s.") % {"time": seconds(told.starts_in_s)}


def seconds(span: float) -> str:
    if span < 10:
        return _("%(n).1f s") % {"n": span}
    span = round(span)
    if span < 120:
        return _("%(n)d s") % {"n": span}
    if span < 7200:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": span // 60, "seconds": span % 60}
    return _("%(hours)d h %(minutes)d min") % {"hours": span // 3600, "minutes": span % 3600 // 60}
