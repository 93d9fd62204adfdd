"""``manage.py create_source shop --title "Web shop"``: creates a business source."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from access.management.lookup import in_one_line
from access.models import BusinessSource


class Command(BaseCommand):
    help = "Create a business source with the default limits, which can be changed in the console or with set_limits."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--title", default="")
        parser.add_argument("--weight", type=float, default=1.0, help="share of runner time")
        parser.add_argument("--concurrent-jobs", type=int, default=8)
        parser.add_argument("--queued-jobs", type=int, default=200)

    def handle(self, *args: Any, name: str, title: str, weight: float, **options: Any) -> None:
        source = BusinessSource(
            name=name,
            title=title,
            weight=weight,
            max_concurrent_jobs=options["concurrent_jobs"],
            max_queued_jobs=options["queued_jobs"],
        )
        try:
            source.full_clean()
        except ValidationError as error:
            raise CommandError(in_one_line(error)) from error
        source.save()
        self.stdout.write(json.dumps({"source": source.name, "title": source.title}, ensure_ascii=False))
