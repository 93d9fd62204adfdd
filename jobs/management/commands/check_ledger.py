"""``manage.py check_ledger``: check that the sums of jobs, postings and accounts agree."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.billing.ledger_check import inconsistencies, repair


class Command(BaseCommand):
    help = "Compare the sums of jobs, postings and accounts. Fails and lists inconsistencies, if any."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--repair", action="store_true", help="first recompute wrong accounts from the postings"
        )

    def handle(self, *, repair: bool, **_options: Any) -> None:
        if repair:
            self._repair()
        found = list(inconsistencies())
        for line in found:
            self.stdout.write(line)
        if found:
            raise CommandError(f"{len(found)} inconsistencies")
        self.stdout.write("Jobs, postings and accounts agree.")

    def _repair(self) -> None:
        for owner in repair():
            self.stdout.write(f"account of {owner}: recomputed")
