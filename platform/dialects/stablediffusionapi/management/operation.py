"""What a client may see of the platform's state, and do about its own queue and the runners' memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from dialects.stablediffusionapi.response import listings
from jobs.execution import lifecycle, slots
from jobs.execution.runner_client import RunnerBusy, RunnerClient, RunnerError
from jobs.models import Job, Runner, State
from models_registry.models import Kind
from models_registry.selectors import list_for

CANCEL_NOTE = "cancelled by its client"
MAX_CALLS = 16  # runners that are called at the same time


def system_details(key: AccessKey) -> dict[str, Any]:
    """Facts of the platform that every tenant may know, and the source's own jobs. No names, addresses or devices."""
    source = key.source
    runners = Runner.objects.filter(enabled=True)
    load = listings.system_load(source)
    return {
        "queue_num": load["queue_num"],
        "queue_time": load["queue_time"],
        "runners": runners.count(),
        "runners_available": runners.filter(draining=False, problem="").exclude(seen_at=None).count(),
        "own_queued": slots.taken(source.pk, State.QUEUED),
        "own_running": slots.taken(source.pk, State.RUNNING),
        "models": {str(kind): list_for(kind, source).count() for kind in Kind if kind != Kind.UNKNOWN},
    }


def clear_queue(key: AccessKey) -> int:
    """Cancel the waiting jobs of the key. Running ones continue. Returns the number of cancelled jobs."""
    waiting = Job.objects.filter(source=key.source_id, key=key, state=State.QUEUED)
    cancelled = 0
    for job_id in list(waiting.values_list("pk", flat=True)):
        cancelled += lifecycle.cancel_queued(job_id, note=CANCEL_NOTE)
    return cancelled


@dataclass(frozen=True)
class Cleared:
    """Outcome of clearing the runners' memory. ``text``: what was not cleared, and why; empty if all was."""

    cleared: int
    text: str


def clear_cache() -> Cleared:
    """Unload the models of all runners that have no jobs."""
    runners = list(Runner.objects.filter(enabled=True))
    if not runners:
        return Cleared(0, _("No runner is available."))
    with ThreadPoolExecutor(min(MAX_CALLS, len(runners))) as pool:
        outcomes = list(pool.map(_unload, [RunnerClient.of(runner) for runner in runners]))
    cleared, busy = outcomes.count("cleared"), outcomes.count("busy")
    numbers = {"all": len(runners), "busy": busy, "failed": len(runners) - cleared - busy}
    if cleared == len(runners):
        return Cleared(cleared, "")
    text = _(
        "Of %(all)d runners, %(busy)d have running jobs and %(failed)d cannot be reached; they keep their models."
    )
    return Cleared(cleared, text % numbers)


def _unload(client: RunnerClient) -> str:
    try:
        client.unload()
    except RunnerBusy:
        return "busy"
    except RunnerError:
        return "failed"
    return "cleared"
