"""``manage.py prepare_demo``: migrates the database and creates the demo models, source, key and admin user."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from quickstart import demo_clients, demo_data, demo_styles


class Command(BaseCommand):
    help = "Migrate, copy and register the demo models, and write credentials to DATA_DIR/demo.json."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("base_url", help="base URL of the site, e.g. http://127.0.0.1:8000")

    def handle(self, *args: Any, base_url: str, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        is_first_start = demo_data.is_first_start()
        demo_data.copy_demo_models()
        if is_first_start:
            demo_styles.make_styles()
            demo_clients.prepare(base_url)
        demo_data.credentials(base_url)
