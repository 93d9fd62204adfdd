"""``manage.py list_models [--kind lora] [--json]``: lists the model files of the registry."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from access.management.lookup import write_rows
from models_registry.models import Kind, ModelFile

COLUMNS = ("kind", "name", "path", "family", "enabled", "is_default", "size_bytes", "sha256")
JSON_COLUMNS = (*COLUMNS, "licence", "trigger_words", "missing_since", "problem")


class Command(BaseCommand):
    help = "List the model files: " + ", ".join(COLUMNS)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--kind", choices=[kind.value for kind in Kind])
        parser.add_argument(
            "--json", action="store_true", help="includes license, trigger words and problems"
        )

    def handle(self, *args: Any, kind: str | None, **options: Any) -> None:
        files = ModelFile.objects.filter(kind=kind) if kind else ModelFile.objects.all()
        columns = JSON_COLUMNS if options["json"] else COLUMNS
        write_rows(self, files.order_by("kind", "name").values(*columns), as_json=options["json"])
