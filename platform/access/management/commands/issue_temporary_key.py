"""``manage.py issue_temporary_key SOURCE``: creates a key that expires, with a session token."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from access.management.lookup import source_named
from access.models import MAX_TEMPORARY_KEY_MINUTES, AccessKey


class Command(BaseCommand):
    help = "Create a temporary access key with a session token. Secret and token are printed only once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source")
        parser.add_argument("--minutes", type=int, default=60)

    def handle(self, *args: Any, source: str, minutes: int, **options: Any) -> None:
        owner = source_named(source)
        if not 1 <= minutes <= MAX_TEMPORARY_KEY_MINUTES:
            raise CommandError(f"--minutes must be from 1 to {MAX_TEMPORARY_KEY_MINUTES} (got {minutes})")
        key, secret, token = AccessKey.issue_temporary(owner, timedelta(minutes=minutes))
        self.stdout.write(json.dumps({"key_id": key.key_id, "secret": secret, "session_token": token}))
