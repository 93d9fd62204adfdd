"""Send callbacks again.

``manage.py replay_callbacks CALLBACK…``, or ``manage.py replay_callbacks --dead --since 24h``
"""

from __future__ import annotations

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.management import job_selection
from jobs.models.callback import Callback, CallbackState
from jobs.outbound.callbacks import outbox


class Command(BaseCommand):
    help = "Send delivered or permanently failed callbacks again, with all retries."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", type=uuid.UUID, metavar="CALLBACK")
        parser.add_argument("--dead", action="store_true", help="all callbacks that failed permanently")
        parser.add_argument("--source", help="only callbacks of this source")
        parser.add_argument(
            "--since", type=job_selection.time_or_age, help="only callbacks created at or after this time"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["ids"]) == options["dead"]:
            raise CommandError("either callback ids or --dead is required")
        selection = {"pk__in": options["ids"]} if options["ids"] else {"state": CallbackState.DEAD}
        callbacks = Callback.objects.filter(**selection)
        if options["source"]:
            callbacks = callbacks.filter(job__source__name=options["source"])
        if options["since"]:
            callbacks = callbacks.filter(created_at__gte=options["since"])
        count = sum(outbox.replay(callback) for callback in list(callbacks))
        self.stdout.write(f"callbacks that will be sent again: {count}")
