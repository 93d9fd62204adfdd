"""Cancel queued and running jobs.

``manage.py cancel_jobs JOB…``, or ``manage.py cancel_jobs --source shop --state queued``
"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.execution import lifecycle
from jobs.management import job_selection
from jobs.models import ACTIVE


class Command(BaseCommand):
    help = "Cancel queued jobs and request the cancellation of running ones. Ended jobs are skipped."

    def add_arguments(self, parser: CommandParser) -> None:
        job_selection.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        jobs = job_selection.selected_for_change(options)
        for job_id, before in list(jobs.values_list("pk", "state")):
            if before not in ACTIVE:
                continue
            state = lifecycle.cancel(job_id, note="cancelled by a command")
            result = {"id": str(job_id), "state": str(state)}
            self.stdout.write(json.dumps(result) if options["json"] else f"{job_id} {state}")
