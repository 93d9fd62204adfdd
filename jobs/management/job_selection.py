"""Which jobs a command is about: their ids, or what they have in common."""

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


def moment(text: str) -> datetime:
    """2026-11-21, 2026-11-21T10:00, or how long ago, as 90m, 24h and 7d."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isdigit() and text[-1] in units:
        return timezone.now() - timedelta(**{units[text[-1]]: int(text[:-1])})
    try:
        found = parse_datetime(text) or datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no time, as 2026-11-21, 2026-11-21T10:00, 24h or 7d") from None
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("ids", nargs="*", type=uuid.UUID, metavar="JOB", help="ids of jobs")
    parser.add_argument("--source", help="the source's name")
    parser.add_argument("--state", choices=State.values)
    parser.add_argument("--dialect")
    parser.add_argument("--error", help="an error code")
    parser.add_argument("--since", type=moment, help="created then or later: 2026-11-21, 24h, 7d")
    parser.add_argument("--until", type=moment, help="created before")
    parser.add_argument("--limit", type=int, help="so many at most, the newest first")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def chosen(options: dict[str, Any]) -> QuerySet[Job]:
    jobs = Job.objects.order_by("-created_at", "-pk")
    _check_names(options)
    if options["ids"]:
        jobs = jobs.filter(pk__in=options["ids"])
    asked = {path: options[name] for name, path in FILTERS.items() if options[name] is not None}
    return jobs.filter(**asked)[: options["limit"]]


def chosen_for_a_change(options: dict[str, Any]) -> QuerySet[Job]:
    """Nobody changes every job there is by leaving something out."""
    if not options["ids"] and all(options[name] is None for name in FILTERS):
        raise CommandError(
            "Name jobs, or say which: --source, --state, --dialect, --error, --since, --until."
        )
    return chosen(options)


def _check_names(options: dict[str, Any]) -> None:
    """A name or an id that is nobody's is a mistake, and not a list without jobs."""
    if options["source"] and not BusinessSource.objects.filter(name=options["source"]).exists():
        raise CommandError(f"There is no source {options['source']!r}.")
    known = set(Job.objects.filter(pk__in=options["ids"]).values_list("pk", flat=True))
    if unknown := [str(job_id) for job_id in options["ids"] if job_id not in known]:
        raise CommandError(f"There is no job {', '.join(unknown)}.")
