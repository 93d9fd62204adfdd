"""Text about a waiting or running job: what it waits for, its queue position and its estimated start or end."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobs.models import Backend, Job, State
from jobs.scheduling.eta import JobEta
from jobs.scheduling.policy import Reason


def steps(job: Job) -> str:
    """Progress in denoising steps; empty unless the job is running."""
    if job.state != State.RUNNING:
        return ""
    return _("step %(step)d of %(steps)d") % {"step": job.step, "steps": job.steps}


def waiting_status(job: Job, eta: JobEta) -> str:
    """For a queued job: the reason why it waits, its position and its estimated start. For a running job: its
    estimated end. Empty for a job that has ended."""
    if job.is_terminal:
        return ""
    parts = [_paused(job), _reason(job, eta.reason), _position(eta), _estimate(job, eta)]
    return " ".join(part for part in parts if part)


def _reason(job: Job, reason: Reason | None) -> str:
    if reason is None:
        return ""
    return {
        Reason.NEXT: _("It is next in the queue: a runner is about to start it."),
        Reason.NO_RUNNER: _(
            "No runner can run it: no runner of its backend is enabled, reachable, not draining and has its models."
        ),
        Reason.OUTSIDE_HOURS: _("Trainings run at other times of the day on this platform."),
        Reason.RUNNERS_DRAW: _("Trainings start when no image is being drawn on this platform."),
        Reason.NO_FREE_SLOT: _("It waits for a free slot: all runners are full."),
        Reason.SOURCE_AT_CAP: _(
            "It waits for another job of %(source)s to end: the source has reached its limit of concurrent jobs."
        )
        % {"source": job.source},
        Reason.KEY_AT_CAP: _(
            "It waits for another job of %(key)s to end: the key has reached its limit of concurrent jobs."
        )
        % {"key": job.key},
        Reason.SUSPECT_WAITS: _(
            "A runner crashed while running it. It is retried alone, when no other such job is running."
        ),
        Reason.RUNNER_BACKS_OFF: _(
            "Jobs of its workflow template have failed on the ComfyUI servers, which therefore wait before the next one."
        ),
        Reason.BEHIND_OTHERS: _(
            "Other jobs go first: their lane is more urgent, or their source has had less runner time recently."
        ),
    }[reason]


def _paused(job: Job) -> str:
    if job.state != State.QUEUED or job.backend != Backend.TRAINING or not job.step:
        return ""
    words = {"step": job.step, "steps": job.steps}
    return _("It is paused at step %(step)d of %(steps)d, and will go on from there.") % words


def _position(eta: JobEta) -> str:
    if eta.reason in {None, Reason.NEXT} or not eta.ahead:  # reasons without an estimate have no position
        return ""
    return ngettext("%d job is ahead of it.", "%d jobs are ahead of it.", eta.ahead) % eta.ahead


def _estimate(job: Job, eta: JobEta) -> str:
    if job.state == State.RUNNING:
        if eta.ends_in_s is None:
            return ""
        return _("Estimated end: in %(time)s.") % {"time": format_seconds(eta.ends_in_s)}
    if eta.starts_in_s is None:
        return _("No estimate of its start is available.")
    if eta.reason == Reason.NEXT:
        return ""
    return _("Estimated start: in %(time)s.") % {"time": format_seconds(eta.starts_in_s)}


def format_seconds(span: float) -> str:
    """A duration in seconds as text, for example ``2 min 5 s``."""
    if span < 10:
        return _("%(n).1f s") % {"n": span}
    span = round(span)
    if span < 120:
        return _("%(n)d s") % {"n": span}
    if span < 7200:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": span // 60, "seconds": span % 60}
    return _("%(hours)d h %(minutes)d min") % {"hours": span // 3600, "minutes": span % 3600 // 60}
