"""``manage.py tidy``: run the hourly cleanup of the background cluster, without a time limit."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.retention.cleanup import tidy


class Command(BaseCommand):
    help = (
        "Delete images, inputs, jobs and temporary keys whose retention period is over, and archive old jobs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="the counts as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        done = tidy(float("inf"))
        self.stdout.write(json.dumps(asdict(done)) if options["json"] else str(done))
