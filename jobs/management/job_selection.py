"""Job selection of management commands: ids and filter options."""

from __future__ import annotations

import uuid
from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from access.models import BusinessSource
from jobs.models import Job, State

FILTERS = {
    "source": "source__name",
    "state": "state",
    "dialect": "dialect",
    "error": "error_code",
    "since": "created_at__gte",
    "until": "created_at__lt",
}


def time_or_age(text: str) -> datetime:
    """Parse 2026-11-21, 2026-11-21T10:00, or an age: 90m, 24h, 7d. Raises ArgumentTypeError."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isdigit() and text[-1] in units:
        return timezone.now() - timedelta(**{units[text[-1]]: int(text[:-1])})
    try:
        found = parse_datetime(text) or datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is not a time such as 2026-11-21, 2026-11-21T10:00, 24h or 7d"
        ) from None
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("ids", nargs="*", type=uuid.UUID, metavar="JOB", help="job ids")
    parser.add_argument("--source", help="name of a source")
    parser.add_argument("--state", choices=State.values)
    parser.add_argument("--dialect")
    parser.add_argument("--error", help="error code")
    parser.add_argument(
        "--since", type=time_or_age, help="created at or after this time: 2026-11-21, 24h, 7d"
    )
    parser.add_argument("--until", type=time_or_age, help="created before this time")
    parser.add_argument("--limit", type=int, help="maximum number of jobs, newest first")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def selected(options: dict[str, Any]) -> QuerySet[Job]:
    """Selected jobs, newest first. Raises CommandError for an unknown source or job id."""
    jobs = Job.objects.order_by("-created_at", "-pk")
    _check_names(options)
    if options["ids"]:
        jobs = jobs.filter(pk__in=options["ids"])
    filters = {path: options[name] for name, path in FILTERS.items() if options[name] is not None}
    return jobs.filter(**filters)[: options["limit"]]


def selected_for_change(options: dict[str, Any]) -> QuerySet[Job]:
    """Selected jobs of a command that changes them. Raises CommandError without ids or filters."""
    if not options["ids"] and all(options[name] is None for name in FILTERS):
        raise CommandError(
            "job ids or a filter are required: --source, --state, --dialect, --error, --since or --until"
        )
    return selected(options)


def _check_names(options: dict[str, Any]) -> None:
    """Raise CommandError for an unknown source or job id, instead of selecting nothing."""
    if options["source"] and not BusinessSource.objects.filter(name=options["source"]).exists():
        raise CommandError(f"source not found: {options['source']}")
    known = set(Job.objects.filter(pk__in=options["ids"]).values_list("pk", flat=True))
    if unknown := [str(job_id) for job_id in options["ids"] if job_id not in known]:
        raise CommandError(f"job not found: {', '.join(unknown)}")
