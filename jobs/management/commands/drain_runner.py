"""``manage.py drain_runner NAME --wait``: stop dispatching jobs to a runner, before a shutdown or upgrade."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.models import Job, Runner, State

LOOK_EVERY_S = 1.0


class Command(BaseCommand):
    help = "Let a runner finish what it has, and give it nothing new."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--wait", action="store_true", help="return when it has no job any more")
        parser.add_argument("--timeout", type=float, default=1800.0, help="seconds to wait at most")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        if not Runner.objects.filter(name=name).update(draining=True):
            raise CommandError(f"There is no runner {name!r}.")
        give_up_at = time.monotonic() + options["timeout"]
        running = Job.objects.filter(runner__name=name, state=State.RUNNING)
        while options["wait"] and (left := running.count()):
            if time.monotonic() >= give_up_at:
                raise CommandError(f"{name} still runs {left} jobs.")
            time.sleep(LOOK_EVERY_S)
        self.stdout.write(f"{name} takes nothing new, and runs {running.count()} jobs")
