"""What a job holds and costs, and what its source was served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction

from access import bookkeeping
from access.accounts import MICROS
from access.models import Posting
from statements import InsertStatement, Statement, Write, given

from .models import Job, Usage


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
        bookkeeping.booking(source_id, key_id, day=day, images=images, micros=micros)
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
    booked = bookkeeping.booking(
        job.source_id,
        job.key_id,
        day=postings[0].day,
        images=sum(posting.images for posting in postings),
        micros=in_micros(sum((posting.amount for posting in postings), Decimal(0))),
    )
    return [_POSTINGS.write(postings), booked]


_POSTINGS: InsertStatement[Posting] = InsertStatement(lambda: Posting)


@transaction.atomic
def charge(source_id: int, device_seconds: float, work: float, now: datetime) -> None:
    """Adds to the source's decayed usage, which the policy reads."""
    usage = _LOCKED.first(source=source_id)
    if usage is None:
        Usage.objects.get_or_create(source_id=source_id)
        usage = Usage.objects.select_for_update().get(source_id=source_id)
    usage.add(device_seconds, work, now)
    usage.save(update_fields=["served", "work", "as_of"])


_LOCKED = Statement(lambda: Usage.objects.select_for_update().filter(source=given("source")).order_by())


def _posting(job: Job, kind: Posting.Kind, amount: Decimal, images: int) -> Posting:
    return Posting(
        source_id=job.source_id,
        key_id=job.key_id,
        job_id=job.pk,
        kind=kind,
        amount=amount,
        images=images,
        day=bookkeeping.accounting_day(job.created_at),
        dialect=job.dialect,
        model=job.request["checkpoint"][:200],
    )


def in_micros(amount: Decimal) -> int:
    return int(amount * MICROS)
