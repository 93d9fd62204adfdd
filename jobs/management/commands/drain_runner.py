"""``manage.py drain_runner NAME --wait``: stop dispatching jobs to a runner, before a shutdown or upgrade."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.models import Job, Runner, State

POLL_INTERVAL_S = 1.0


class Command(BaseCommand):
    help = "Let a runner finish its running jobs and dispatch no new ones to it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--wait", action="store_true", help="wait until no job is running on it")
        parser.add_argument("--timeout", type=float, default=1800.0, help="maximum seconds to wait")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        if not Runner.objects.filter(name=name).update(draining=True):
            raise CommandError(f"runner not found: {name}")
        deadline = time.monotonic() + options["timeout"]
        running = Job.objects.filter(runner__name=name, state=State.RUNNING)
        while options["wait"] and (left := running.count()):
            if time.monotonic() >= deadline:
                raise CommandError(f"{name} is still running {left} jobs")
            time.sleep(POLL_INTERVAL_S)
        self.stdout.write(f"{name} is draining; running jobs: {running.count()}")
