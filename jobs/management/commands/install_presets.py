"""``manage.py install_presets``: installs the shipped style presets, prompt style, storage target and aliases."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from jobs import shipped_setup


class Command(BaseCommand):
    help = (
        "Create the shipped style presets, prompt style, storage target and model aliases that are missing. "
        "What exists is not changed. Prints what was created, and which model files the examples lack."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(asdict(shipped_setup.install()), ensure_ascii=False, indent=2))
