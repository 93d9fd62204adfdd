"""``manage.py list_models [--kind lora] [--json]``: what the registry knows."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from access.management.lookup import write_rows
from models_registry.models import Kind, ModelFile

SHOWN = ("kind", "name", "path", "family", "enabled", "is_default", "size_bytes", "sha256")
MORE = ("licence", "trigger_words", "missing_since", "problem")


class Command(BaseCommand):
    help = "List the model files: " + ", ".join(SHOWN)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--kind", choices=[kind.value for kind in Kind])
        parser.add_argument("--json", action="store_true", help="with licence, trigger words and problems")

    def handle(self, *args: Any, kind: str | None, **options: Any) -> None:
        files = ModelFile.objects.filter(kind=kind) if kind else ModelFile.objects.all()
        columns = SHOWN + MORE if options["json"] else SHOWN
        write_rows(self, files.order_by("kind", "name").values(*columns), as_json=options["json"])
