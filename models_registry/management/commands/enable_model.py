"""``manage.py enable_model NAME [--kind lora]``: enables a model file."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from models_registry.management.lookup import add_file_arguments, file_named


class Command(BaseCommand):
    help = "Enable a model file for requests."

    def add_arguments(self, parser: CommandParser) -> None:
        add_file_arguments(parser)

    def handle(self, *args: Any, name: str, kind: str | None, **options: Any) -> None:
        file = file_named(name, kind)
        file.enabled = True
        file.save(update_fields=["enabled"])
        self.stdout.write(f"{file.path}: enabled")
