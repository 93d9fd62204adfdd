"""``manage.py rotate_key ak-…``: a new secret in place of the old one; it is printed this once."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from access.management.lookup import key_with


class Command(BaseCommand):
    help = "Give an access key a new secret, which is printed this once. The old one proves nothing from then on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key_id")

    def handle(self, *args: Any, key_id: str, **options: Any) -> None:
        self.stdout.write(json.dumps({"key_id": key_id, "secret": key_with(key_id).rotate()}))
