"""Submit failed, cancelled or expired jobs again.

``manage.py retry_jobs JOB…``, or ``manage.py retry_jobs --source shop --state failed --since 24h``
"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.admission.rerun import RETRIED, retry
from jobs.errors import Refused
from jobs.management import job_selection


class Command(BaseCommand):
    help = "Submit the requests of failed, cancelled and expired jobs as new jobs. Other jobs are skipped."

    def add_arguments(self, parser: CommandParser) -> None:
        job_selection.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        for job in list(job_selection.selected_for_change(options)):
            if job.state not in RETRIED:
                continue
            result = {"id": str(job.pk)}
            try:
                result["retried_as"] = str(retry(job, note="retried by a command").pk)
            except Refused as refusal:
                result["refused"] = refusal.message
            line = f"{job.pk} {result.get('retried_as') or result['refused']}"
            self.stdout.write(json.dumps(result, ensure_ascii=False) if options["json"] else line)
