"""``manage.py replay_callbacks CALLBACK…``, or ``manage.py replay_callbacks --dead --since 24h``"""

from __future__ import annotations

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.management import job_selection
from jobs.models.callback import Callback, CallbackState
from jobs.outbound.callbacks import outbox


class Command(BaseCommand):
    help = "Send callbacks again that were delivered or given up, with all their tries."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", type=uuid.UUID, metavar="CALLBACK")
        parser.add_argument("--dead", action="store_true", help="all that were given up")
        parser.add_argument("--source", help="of these, those of a source")
        parser.add_argument(
            "--since", type=job_selection.moment, help="of these, those created then or later"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["ids"]) == options["dead"]:
            raise CommandError("Name callbacks, or say --dead.")
        chosen = {"pk__in": options["ids"]} if options["ids"] else {"state": CallbackState.DEAD}
        callbacks = Callback.objects.filter(**chosen)
        if options["source"]:
            callbacks = callbacks.filter(job__source__name=options["source"])
        if options["since"]:
            callbacks = callbacks.filter(created_at__gte=options["since"])
        again = sum(outbox.replay(callback) for callback in list(callbacks))
        self.stdout.write(f"callbacks that will be sent again: {again}")
