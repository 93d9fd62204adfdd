"""``manage.py list_keys [--source shop] [--json]``: lists the access keys, without their secrets."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import F

from access.management.lookup import source_named, write_rows
from access.models import AccessKey


class Command(BaseCommand):
    help = "List the access keys: id, source, note, enabled, expiry, last use."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--source", help="only keys of this source")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, source: str | None, **options: Any) -> None:
        keys = AccessKey.objects.all()
        if source is not None:
            keys = keys.filter(source=source_named(source))
        columns = ("key_id", "owner", "note", "enabled", "expires_at", "last_used_at")
        rows = keys.order_by("source__name", "key_id").annotate(owner=F("source__name"))
        write_rows(self, rows.values(*columns), as_json=options["json"])
