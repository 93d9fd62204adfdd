"""``manage.py cancel_jobs JOB…``, or ``manage.py cancel_jobs --source shop --state queued``"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.execution import lifecycle
from jobs.management import job_selection
from jobs.models import ACTIVE


class Command(BaseCommand):
    help = "End queued jobs, and ask the workers of running ones to end them. Others are left as they are."

    def add_arguments(self, parser: CommandParser) -> None:
        job_selection.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        jobs = job_selection.chosen_for_a_change(options)
        for job_id, before in list(jobs.values_list("pk", "state")):
            if before not in ACTIVE:
                continue
            state = lifecycle.cancel(job_id, note="cancelled by a command")
            told = {"id": str(job_id), "state": str(state)}
            self.stdout.write(json.dumps(told) if options["json"] else f"{job_id} {state}")
