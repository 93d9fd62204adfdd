"""``manage.py statement SOURCE 2026-11 --format csv``: export a source's billing statement of a month."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from datetime import date, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from access.models import BusinessSource
from jobs.billing.statement_export import FORMATS
from jobs.billing.statements import statement


def _month(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").date()
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a month such as 2026-11") from None


class Command(BaseCommand):
    help = "Export a source's monthly statement: jobs, images and cost by day, dialect, model and key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="name of a source")
        parser.add_argument("month", type=_month, help="for example 2026-11")
        parser.add_argument("--format", choices=sorted(FORMATS), default="csv")
        parser.add_argument("--output", type=Path, help="output file; default: standard output")

    def handle(self, *, source: str, month: date, format: str, output: Path | None, **_options: Any) -> None:
        try:
            owner = BusinessSource.objects.get(name=source)
        except BusinessSource.DoesNotExist:
            raise CommandError(f"source not found: {source}") from None
        content = FORMATS[format](statement(owner, month))
        if output is not None:
            output.write_bytes(content)
        elif format == "xlsx" and sys.stdout.isatty():
            raise CommandError("xlsx is a binary format: --output is required on a terminal")
        else:
            self.stdout.flush()
            getattr(self.stdout, "buffer", sys.stdout.buffer).write(content)
