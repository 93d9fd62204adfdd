"""``manage.py sweep``: requeue and expire jobs, as the background cluster does every minute."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from jobs.execution.sweep import sweep


class Command(BaseCommand):
    help = "Requeue jobs whose lease has expired, and expire jobs that were queued for too long."

    def handle(self, *args: Any, **options: Any) -> None:
        result = sweep()
        self.stdout.write(f"requeued {result.put_back}, expired {result.expired}")
