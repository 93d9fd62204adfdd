"""List jobs.

``manage.py list_jobs --source shop --state failed --since 24h --json``
"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from jobs.management import job_selection

COLUMNS: tuple[str, ...] = (
    "id",
    "source__name",
    "dialect",
    "operation",
    "external_id",
    "backend",
    "lane",
    "state",
)
COLUMNS += ("error_code", "attempt", "runner__name", "checkpoint_sha256", "cost_estimate", "cost")
COLUMNS += ("device_seconds", "created_at", "started_at", "finished_at")


class Command(BaseCommand):
    help = "List jobs, newest first. With --json, all selected jobs by default, for other programs."

    def add_arguments(self, parser: CommandParser) -> None:
        job_selection.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        limit = options["limit"] or (None if options["json"] else 50)
        for row in job_selection.selected(options | {"limit": limit}).values(*COLUMNS).iterator():
            columns = {name.removesuffix("__name"): value for name, value in row.items()}
            if options["json"]:
                self.stdout.write(json.dumps(columns, cls=DjangoJSONEncoder, ensure_ascii=False))
            else:
                line = f"{columns['created_at']:%Y-%m-%d %H:%M:%S}  {columns['id']}  {columns['state']:<9}"
                self.stdout.write(
                    f"{line}  {columns['source']}  {columns['dialect']}  {columns['error_code']}".rstrip()
                )
