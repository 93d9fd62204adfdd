"""What a job holds and costs, and what its source was served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from access import account_balances
from access.accounts import MICROS
from access.models import Posting
from jobs.models import Job, Usage
from statements import Ask, InsertStatement, Statement, UpdateStatement, Write, given, send


def reservation(jobs: Sequence[Job]) -> list[Write]:
    """For the transaction that inserts the jobs, which has locked their accounts."""
    postings = [
        _posting(job, Posting.Kind.RESERVE, job.cost_estimate, job.request["num_images"]) for job in jobs
    ]
    sums: dict[tuple[int, int | None, date], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for posting in postings:
        account = posting.source_id, posting.key_id, posting.day
        images, micros = sums[account]
        sums[account] = images + posting.images, micros + in_micros(posting.amount)
    booked = [
        account_balances.booking(source_id, key_id, day=day, images=images, micros=micros)
        for (source_id, key_id, day), (images, micros) in sums.items()
    ]
    return [_POSTINGS.write(postings), *booked]


def closing(job: Job, price: Decimal | None, images: int = 0) -> list[Write]:
    """For the transaction that ends the job, which has locked its accounts: what was reserved goes back, and the price
    is booked if there is one."""
    reserved = job.request["num_images"]
    postings = [_posting(job, Posting.Kind.RELEASE, -job.cost_estimate, -reserved)]
    if price is not None:
        postings.append(_posting(job, Posting.Kind.SETTLE, price, images))
    booked = account_balances.booking(
        job.source_id,
        job.key_id,
        day=postings[0].day,
        images=sum(posting.images for posting in postings),
        micros=in_micros(sum((posting.amount for posting in postings), Decimal(0))),
    )
    return [_POSTINGS.write(postings), booked]


_POSTINGS: InsertStatement[Posting] = InsertStatement(lambda: Posting)


class ServedWork(NamedTuple):
    """What a source got: device-seconds, and the price that they were worth."""

    device_seconds: float
    work: float


@transaction.atomic
def charge(source_id: int, served: ServedWork) -> None:
    """Adds to the source's decayed usage, which the policy reads."""
    send(charging(source_id, _USAGE.all(source=source_id), served))


def ask_usage(source_id: int) -> Ask[list[Usage]]:
    """Locks it, for ``charging`` in the same transaction."""
    return _USAGE.ask(source=source_id)


def charging(source_id: int, usage: list[Usage], served: ServedWork) -> Write:
    """As ``charge``, for a transaction that has locked the usage, or found none."""
    if not usage:
        Usage.objects.bulk_create([Usage(source_id=source_id)], ignore_conflicts=True)
        usage = _USAGE.all(source=source_id)
    (found,) = usage
    found.add(*served, timezone.now())
    return _CHARGE.write(source=source_id, served=found.served, work=found.work, as_of=found.as_of)


def _usage_of_a_source() -> QuerySet[Usage]:
    return Usage.objects.filter(source=given("source")).order_by()


_USAGE = Statement(lambda: _usage_of_a_source().select_for_update())
_CHARGE = UpdateStatement(
    _usage_of_a_source, served=given("served"), work=given("work"), as_of=given("as_of")
)


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
        model=job.request["checkpoint"][:200],
    )


def in_micros(amount: Decimal) -> int:
    return int(amount * MICROS)
