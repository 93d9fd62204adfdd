"""Numeric job ids of this API: random, unique for each source, positive 32-bit integers."""

from __future__ import annotations

import secrets
from dataclasses import replace

from access.models import BusinessSource
from dialects.stablediffusionapi.authentication import DIALECT
from jobs.admission.admit import admit_or_find
from jobs.admission.submission import Submission
from jobs.models import Backend, Job

MAX_NUMBER = 2**31 - 1
MAX_DIGITS = len(str(MAX_NUMBER))


def admit_with_number(submission: Submission) -> Job:
    """Admit a job under a new number. Raises Refused."""
    while True:
        number = new_number()
        job, is_new = admit_or_find(replace(submission, external_id=number))
        # A job that is not new was found by its Idempotency-Key, or has this number already: then try another number.
        if is_new or job.external_id != number:
            return job


def new_number() -> str:
    """A random number, as the external id of a job."""
    return str(1 + secrets.randbelow(MAX_NUMBER))


def number_of(job: Job) -> int:
    return int(job.external_id)


def job_by_number(source: BusinessSource, text: str) -> Job | None:
    """The source's job of a number; None if it has none, or the text is no number."""
    digits = text.strip()
    if not digits.isascii() or not digits.isdecimal() or len(digits) > MAX_DIGITS:
        return None
    jobs = Job.objects.filter(source=source, dialect=DIALECT, external_id=str(int(digits)))
    jobs = jobs.exclude(backend=Backend.TRAINING)  # fine_tune_status has those
    return jobs.select_related("checkpoint", "source").first()
