"""``manage.py sweep``: what the background cluster does every minute."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from jobs.execution.sweep import sweep


class Command(BaseCommand):
    help = "Put back jobs whose lease is over, and end those that waited for too long."

    def handle(self, *args: Any, **options: Any) -> None:
        swept = sweep()
        self.stdout.write(f"put back {swept.put_back}, expired {swept.expired}")
