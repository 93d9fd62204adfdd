"""Alerts of the dashboard: what needs an operator now, each with a link to the page where it is put right."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Max, Sum
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.models import HourlyFigures
from jobs.execution import lifecycle
from jobs.models import Backend, Runner, State, Transition

from .live_figures import RUNNER_STATES, UndeliveredCallbacks, runner_state

FAILURE_SHARE, MIN_FAILURES = 0.2, 5  # of the jobs that ended in the last two hours
CAUSED_BY_CLIENTS = {"nsfw", "bad_request", "cancelled"}  # say nothing about the platform
LOW_DISK = 4  # times the free space below which the platform is not ready
NEWEST_TRANSITIONS = 5000  # the table has no index by time
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Alert:
    text: str
    url: str = ""
    is_urgent: bool = True  # jobs wait or fail because of it


def of_runners(runners: Iterable[Runner], queued: int, now: datetime) -> Iterator[Alert]:
    """Runners that take no jobs. One that drains is an alert only while jobs wait."""
    page = reverse("admin:jobs_runner_changelist")
    states = [(runner, runner_state(runner, now)) for runner in runners]
    # A trainer takes no requests for images.
    if "ready" not in {state for runner, state in states if runner.backend != Backend.TRAINING}:
        text = _("No runner takes jobs.")
        if queued:
            waiting = ngettext("%(n)d job waits.", "%(n)d jobs wait.", queued) % {"n": queued}
            text = f"{text} {waiting}"
        yield Alert(text, page)
    for runner, state in states:
        url = reverse("admin:jobs_runner_change", args=[runner.pk])
        names = {"runner": runner.name, "state": RUNNER_STATES[state], "n": queued}
        if state in ("draining", "paused") and queued:
            text = ngettext(
                "Runner %(runner)s is %(state)s while %(n)d job waits.",
                "Runner %(runner)s is %(state)s while %(n)d jobs wait.",
                queued,
            )
            yield Alert(text % names, url)
        elif state not in ("ready", "draining", "paused"):
            yield Alert(_("Runner %(runner)s: %(state)s.") % names, url)


def of_disk() -> Iterator[Alert]:
    """Little free space below DATA_DIR, on the host of this process."""
    folder = next(folder for folder in (settings.DATA_DIR, *settings.DATA_DIR.parents) if folder.exists())
    free, needed = shutil.disk_usage(folder).free, settings.DISK_FREE_MIN_MB * 2**20
    if free < LOW_DISK * needed:
        text = _(
            "The disk of DATA_DIR is nearly full: %(free)s free. Below %(needed)s, the platform is not ready."
        )
        values = {"free": filesizeformat(free), "needed": filesizeformat(needed)}
        yield Alert(text % values, is_urgent=free < needed)


def of_callbacks(undelivered: UndeliveredCallbacks) -> Iterator[Alert]:
    if undelivered.given_up:
        text = ngettext(
            "%(n)d callback failed permanently in 24 hours.",
            "%(n)d callbacks failed permanently in 24 hours.",
            undelivered.given_up,
        )
        page = reverse("admin:jobs_callback_changelist")
        yield Alert(text % {"n": undelivered.given_up}, f"{page}?state=dead", is_urgent=False)


def of_failures(now: datetime) -> Iterator[Alert]:
    """A large share of failed jobs in the current and the previous hour, from the hourly figures."""
    rows = HourlyFigures.objects.filter(hour__gt=now - 2 * HOUR, state__in=(State.SUCCEEDED, State.FAILED))
    counts = (
        rows.exclude(error_code__in=CAUSED_BY_CLIENTS).order_by().values_list("state").annotate(Sum("jobs"))
    )
    known = dict(counts)
    failed, total = known.get(State.FAILED.value, 0), sum(known.values())
    if failed >= MIN_FAILURES and failed >= FAILURE_SHARE * total:
        query = {"state": State.FAILED.value, "age": "today"}
        values = {"percent": round(100 * failed / total), "failed": failed, "jobs": total}
        text = _("%(percent)d%% of the jobs failed in the last two hours: %(failed)d of %(jobs)d.") % values
        yield Alert(text, f"{reverse('admin:jobs_job_changelist')}?{urlencode(query)}")


def of_leases(now: datetime) -> Iterator[Alert]:
    """Jobs that were requeued in the last hour because their worker did not renew their lease."""
    newest = Transition.objects.aggregate(newest=Max("pk"))["newest"] or 0
    recent = Transition.objects.filter(pk__gt=newest - NEWEST_TRANSITIONS, at__gt=now - HOUR)
    requeued = recent.filter(note=lifecycle.LEASE_LOST).count()
    if requeued:
        text = ngettext(
            "%(n)d job was requeued in the last hour because its lease expired.",
            "%(n)d jobs were requeued in the last hour because their leases expired.",
            requeued,
        )
        page = reverse("admin:jobs_runner_changelist")
        yield Alert(text % {"n": requeued}, page, is_urgent=False)
