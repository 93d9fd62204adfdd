"""``manage.py resume_runner NAME``: dispatch jobs to a runner again, after drain_runner."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.execution import notifications
from jobs.models import Runner


class Command(BaseCommand):
    help = "Dispatch jobs to a drained or paused runner again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        if not Runner.objects.filter(name=name).update(draining=False, enabled=True):
            raise CommandError(f"runner not found: {name}")
        notifications.notify({notifications.WORK: ""})
        self.stdout.write(f"{name} accepts jobs")
