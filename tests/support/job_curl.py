"""The curl commands of a job, as its page shows them."""

from __future__ import annotations

import re
from typing import NamedTuple

from jobs.api_reference.dialects import repeats
from jobs.api_reference.examples.curl import curl
from jobs.models import Job


class Curl(NamedTuple):
    dialect: str
    command: str
    reason: str

    @property
    def path(self) -> str:
        """Path and query of the request."""
        return re.search(r"\$BASE(/[^\s\"']+)|post '?(/[^\s']+)", self.command)[1]


def commands(job: Job, base_url: str) -> list[Curl]:
    found = repeats(job, base_url)
    return [Curl(each.dialect, curl(each.call) if each.call else "", each.reason) for each in found]
