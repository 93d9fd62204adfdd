"""``manage.py issue_temporary_key SOURCE``: a key that ends by itself, for dialects that can send a session token."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from access.management.lookup import source_named
from access.models import LONGEST_TEMPORARY_MINUTES, AccessKey


class Command(BaseCommand):
    help = "Issue an access key with a session token; both are printed this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source")
        parser.add_argument("--minutes", type=int, default=60)

    def handle(self, *args: Any, source: str, minutes: int, **options: Any) -> None:
        found = source_named(source)
        if not 1 <= minutes <= LONGEST_TEMPORARY_MINUTES:
            raise CommandError(f"--minutes is from 1 to {LONGEST_TEMPORARY_MINUTES}")
        key, secret, token = AccessKey.issue_temporary(found, timedelta(minutes=minutes))
        self.stdout.write(json.dumps({"key_id": key.key_id, "secret": secret, "session_token": token}))
