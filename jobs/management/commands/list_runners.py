"""List runners.

``manage.py list_runners --json``
"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from jobs.models import Runner

COLUMNS: tuple[str, ...] = (
    "name",
    "url",
    "backend",
    "enabled",
    "draining",
    "slots",
    "device",
    "loaded",
    "memory_bytes",
)
COLUMNS += ("version", "figures", "seen_at", "problem")


class Command(BaseCommand):
    help = "List the runners with their status."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object per line")

    def handle(self, *args: Any, **options: Any) -> None:
        for row in Runner.objects.values(*COLUMNS):
            if options["json"]:
                self.stdout.write(json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False))
                continue
            status = "paused" if not row["enabled"] else "draining" if row["draining"] else "enabled"
            seen = f"{row['seen_at']:%Y-%m-%d %H:%M:%S}" if row["seen_at"] else "never"
            line = (
                f"{row['name']}  {row['url']}  {status}  {row['slots']} slots  seen {seen}  {row['problem']}"
            )
            self.stdout.write(line.rstrip())
