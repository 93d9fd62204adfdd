"""``manage.py rotate_key ak-…``: replaces the secret of an access key and prints the new one once."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from access.management.lookup import key_with, printed_key


class Command(BaseCommand):
    help = (
        "Replace the secret of an access key. The new one is printed only once; the old one becomes invalid."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key_id")

    def handle(self, *args: Any, key_id: str, **options: Any) -> None:
        key = key_with(key_id)
        self.stdout.write(json.dumps(printed_key(key, key.rotate())))
