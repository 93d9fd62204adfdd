"""``manage.py register_runner NAME URL``: add a runner, or change its URL."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.models import Backend, Runner


class Command(BaseCommand):
    help = "Add a runner, or change the URL of an existing one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("url", help="e.g. http://127.0.0.1:9000")
        parser.add_argument(
            "--backend", choices=Backend.values, help="what it runs; by default as the runner reports"
        )

    def handle(self, *args: Any, name: str, url: str, backend: str | None = None, **options: Any) -> None:
        runner = Runner.objects.filter(name=name).first() or Runner(name=name)
        runner.url = url
        runner.backend = backend or runner.backend
        try:
            runner.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        runner.save()
        if options["verbosity"]:
            self.stdout.write(f"{name}: {url}")
