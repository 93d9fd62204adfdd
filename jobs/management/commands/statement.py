"""``manage.py statement SOURCE 2026-11 --format csv``: what a source is billed for a month."""

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
        raise ArgumentTypeError(f"{text!r} is no month, as 2026-11") from None


class Command(BaseCommand):
    help = "Writes a source's statement of a month: jobs, pictures and cost by day, dialect, model and key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="the source's name")
        parser.add_argument("month", type=_month, help="as 2026-11")
        parser.add_argument("--format", choices=sorted(FORMATS), default="csv")
        parser.add_argument("--output", type=Path, help="a file; without it, the standard output")

    def handle(self, *, source: str, month: date, format: str, output: Path | None, **_more: Any) -> None:
        try:
            wanted = BusinessSource.objects.get(name=source)
        except BusinessSource.DoesNotExist:
            raise CommandError(f"There is no source {source!r}.") from None
        content = FORMATS[format](statement(wanted, month))
        if output is not None:
            output.write_bytes(content)
        elif format == "xlsx" and sys.stdout.isatty():
            raise CommandError("A workbook is nothing for a terminal: give --output.")
        else:
            self.stdout.flush()
            getattr(self.stdout, "buffer", sys.stdout.buffer).write(content)
