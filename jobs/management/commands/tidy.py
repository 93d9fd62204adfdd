"""``manage.py tidy``: what the background cluster does every hour, to its end."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.retention.cleanup import tidy


class Command(BaseCommand):
    help = (
        "Delete pictures, inputs, jobs and temporary keys that were kept for long enough; archive old jobs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="the counts as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        done = tidy(float("inf"))
        self.stdout.write(json.dumps(asdict(done)) if options["json"] else str(done))
