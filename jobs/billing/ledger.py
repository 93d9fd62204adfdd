"""Ledger: postings for reserved and final job costs, and the device time used per source."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from access import account_balances
from access.accounts import MICROS, Account
from access.models import Posting
from jobs.models import Job, Usage


def reserve(jobs: Sequence[Job], accounts: dict[str, Account]) -> None:
    """Post the reservations of jobs inserted in this transaction.

    ``accounts`` are the accounts of the jobs, locked and with the amounts already booked in memory.
    """
    Posting.objects.bulk_create(
        _posting(job, Posting.Kind.RESERVE, job.cost_estimate, job.request["num_images"]) for job in jobs
    )
    account_balances.save(accounts)


def close(job: Job, price: Decimal | None, images: int = 0) -> None:
    """Release the reservation of a job, and post its price if there is one.

    Call it in the transaction that ends the job.
    """
    postings = [_posting(job, Posting.Kind.RELEASE, -job.cost_estimate, -job.request["num_images"])]
    if price is not None:
        postings.append(_posting(job, Posting.Kind.SETTLE, price, images))
    accounts = account_balances.lock([(job.source_id, job.key_id)])
    for posting in postings:
        book(job, accounts, posting.amount, posting.images)
    Posting.objects.bulk_create(postings)
    account_balances.save(accounts)


def book(job: Job, accounts: dict[str, Account], amount: Decimal, images: int) -> None:
    """Add an amount and images to the locked accounts of the job's source and key, in memory."""
    day = account_balances.accounting_day(job.created_at)
    account_balances.book(
        accounts, job.source_id, job.key_id, day=day, images=images, micros=in_micros(amount)
    )


class ServedWork(NamedTuple):
    """Device time used by a source, and its price."""

    device_seconds: float
    work: float  # price of device_seconds, in cost units


@transaction.atomic(savepoint=False)
def charge(source_id: int, served: ServedWork) -> None:
    """Add to the decayed usage of the source, which the scheduling policy reads."""
    usage, _created = Usage.objects.select_for_update().get_or_create(source_id=source_id)
    usage.add(*served, timezone.now())
    usage.save()


def _posting(job: Job, kind: Posting.Kind, amount: Decimal, images: int) -> Posting:
    return Posting(
        source_id=job.source_id,
        key_id=job.key_id,
        job_id=job.pk,
        kind=kind,
        amount=amount,
        images=images,
        day=account_balances.accounting_day(job.created_at),
        dialect=job.dialect,
        model=_model(job)[:200],
    )


def _model(job: Job) -> str:
    """Model that the statement names: the checkpoint of the request, or the main model of its template."""
    return str(job.request["checkpoint"] or (job.checkpoint.name if job.checkpoint else ""))


def in_micros(amount: Decimal) -> int:
    """Convert cost units to micro-units."""
    return int(amount * MICROS)
