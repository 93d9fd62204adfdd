"""``manage.py disable_model NAME [--kind lora]``: disables a model file."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from models_registry.management.lookup import add_file_arguments, file_named


class Command(BaseCommand):
    help = "Disable a model file for new requests. Jobs that were already admitted still use it."

    def add_arguments(self, parser: CommandParser) -> None:
        add_file_arguments(parser)

    def handle(self, *args: Any, name: str, kind: str | None, **options: Any) -> None:
        file = file_named(name, kind)
        file.enabled = False
        file.save(update_fields=["enabled"])
        self.stdout.write(f"{file.path}: disabled")
