"""``manage.py revoke_key ak-…``: disables an access key; ``--undo`` enables it again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from access.management.lookup import key_with


class Command(BaseCommand):
    help = "Revoke an access key. Requests with it are denied immediately."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key_id")
        parser.add_argument("--undo", action="store_true", help="enable it again")

    def handle(self, *args: Any, key_id: str, undo: bool, **options: Any) -> None:
        key = key_with(key_id)
        key.enabled = undo
        key.save(update_fields=["enabled"])
        self.stdout.write(f"{key_id}: {'enabled' if undo else 'revoked'}")
