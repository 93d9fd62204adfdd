"""Clients of this API know their jobs by a number. It is drawn by lot, is the source's own, and fits into 32 bits."""

from __future__ import annotations

import secrets
from dataclasses import replace

from access.models import BusinessSource
from jobs.admission.admit import admit_or_find
from jobs.admission.submission import Submission
from jobs.models import Job

from .authentication import DIALECT

MOST = 2**31 - 1
MOST_DIGITS = len(str(MOST))


def admit_with_number(submission: Submission) -> Job:
    """Raises Refused."""
    while True:
        number = new_number()
        job, is_new = admit_or_find(replace(submission, external_id=number))
        # A job that is not new was found by its Idempotency-Key, or it has this number: then draw another one.
        if is_new or job.external_id != number:
            return job


def new_number() -> str:
    return str(1 + secrets.randbelow(MOST))


def number_of(job: Job) -> int:
    return int(job.external_id)


def job_by_number(source: BusinessSource, text: str) -> Job | None:
    """This source's job of this API; None for anybody else's, as for what is no number."""
    digits = text.strip()
    if not digits.isascii() or not digits.isdecimal() or len(digits) > MOST_DIGITS:
        return None
    known = Job.objects.filter(source=source, dialect=DIALECT, external_id=str(int(digits)))
    return known.select_related("checkpoint", "source").first()
