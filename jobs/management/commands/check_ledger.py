"""``manage.py check_ledger``: whether the sums of jobs, postings and accounts agree."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.billing.ledger_check import disagreements, repair


class Command(BaseCommand):
    help = "Compares jobs, postings and accounts. Fails and names what disagrees."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--repair", action="store_true", help="first makes wrong accounts anew from the postings"
        )

    def handle(self, *, repair: bool, **_more: Any) -> None:
        if repair:
            self._repair()
        found = list(disagreements())
        for line in found:
            self.stdout.write(line)
        if found:
            raise CommandError(f"{len(found)} disagreements")
        self.stdout.write("Jobs, postings and accounts agree.")

    def _repair(self) -> None:
        for owner in repair():
            self.stdout.write(f"account of {owner}: made anew")
