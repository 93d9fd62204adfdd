"""``manage.py retry_jobs JOB…``, or ``manage.py retry_jobs --source shop --state failed --since 24h``"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.admission.rerun import RETRIED, retry
from jobs.errors import Refused
from jobs.management import job_selection


class Command(BaseCommand):
    help = "Make new jobs of the requests of failed, cancelled and expired ones. Others are left as they are."

    def add_arguments(self, parser: CommandParser) -> None:
        job_selection.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        for job in list(job_selection.chosen_for_a_change(options)):
            if job.state not in RETRIED:
                continue
            told = {"id": str(job.pk)}
            try:
                told["retried_as"] = str(retry(job, note="retried by a command").pk)
            except Refused as refused:
                told["refused"] = refused.message
            line = f"{job.pk} {told.get('retried_as') or told['refused']}"
            self.stdout.write(json.dumps(told, ensure_ascii=False) if options["json"] else line)
