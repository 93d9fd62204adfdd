"""List callbacks.

``manage.py list_callbacks --state dead --since 24h --json``
"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from jobs.management import job_selection
from jobs.models.callback import Callback, CallbackState

COLUMNS: tuple[str, ...] = (
    "id",
    "job_id",
    "job__source__name",
    "dialect",
    "url",
    "state",
    "attempts",
    "last_status",
)
COLUMNS += ("last_excerpt", "created_at", "next_at", "delivered_at")


class Command(BaseCommand):
    help = "List callbacks, newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--state", choices=CallbackState.values)
        parser.add_argument("--source", help="name of a source")
        parser.add_argument(
            "--since",
            type=job_selection.time_or_age,
            help="created at or after this time: 2026-11-21, 24h, 7d",
        )
        parser.add_argument("--limit", type=int, default=50)
        parser.add_argument("--json", action="store_true", help="one JSON object per line")

    def handle(self, *args: Any, **options: Any) -> None:
        filters = {"state": options["state"], "job__source__name": options["source"]}
        filters["created_at__gte"] = options["since"]
        filters = {lookup: value for lookup, value in filters.items() if value is not None}
        callbacks = Callback.objects.filter(**filters).order_by("-created_at")[: options["limit"]]
        for row in callbacks.values(*COLUMNS):
            row["source"] = row.pop("job__source__name")
            if options["json"]:
                self.stdout.write(json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False))
            else:
                line = f"{row['id']}  job {row['job_id']}  {row['source']}  {row['state']}"
                self.stdout.write(
                    f"{line}  {row['attempts']} attempts  {row['last_status'] or '–'}  {row['url']}"
                )
