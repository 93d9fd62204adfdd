"""``manage.py list_sources [--json]``: lists the business sources with their number of enabled keys."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Count, Q

from access.management.lookup import write_rows
from access.models import BusinessSource


class Command(BaseCommand):
    help = "List the business sources: name, title, enabled, weight, number of enabled keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        sources = BusinessSource.objects.annotate(enabled_keys=Count("keys", filter=Q(keys__enabled=True)))
        rows = sources.order_by("name").values("name", "title", "enabled", "weight", "enabled_keys")
        write_rows(self, rows, as_json=options["json"])
