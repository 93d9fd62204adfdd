"""Consistency check of jobs, postings and accounts, and repair of accounts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from django.db.models import BigIntegerField, Count, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from access import account_balances
from access.accounts import in_micros
from access.models import AccessKey, Account, BusinessSource, Posting
from jobs.models import TERMINAL, Job

COLUMNS = tuple(f"{unit}_{period}" for unit in ("images", "cost") for period in ("day", "month", "total"))
MAX_REPORTED = 100  # limit per kind of inconsistency


def inconsistencies(limit: int = MAX_REPORTED) -> Iterator[str]:
    """Yield one line per inconsistency. Reads a consistent snapshot, so that it can run during operation."""
    with _consistent_snapshot():
        for owner in _owners():
            yield from _of_account(owner)
        yield from _of_jobs(limit)
        yield from _of_postings(limit)


def repair() -> list[str]:
    """Recompute wrong accounts from their postings, each under its lock. Returns their owners."""
    return [owner[0] for owner in _owners() if _repair_account(owner)]


@contextmanager
def _consistent_snapshot() -> Iterator[None]:
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _owners() -> Iterator[account_balances.Owner]:
    for source_id in BusinessSource.objects.order_by("pk").values_list("pk", flat=True):
        yield account_balances.owners(source_id, None)[0]
    for source_id, key_id in AccessKey.objects.order_by("pk").values_list("source_id", "pk"):
        yield account_balances.owners(source_id, key_id)[1]


@transaction.atomic
def _repair_account(owner: account_balances.Owner) -> bool:
    stored = Account.objects.select_for_update().filter(pk=owner[0]).first()
    if stored is None:
        return False
    expected = account_balances.summed(*owner)
    if not any(_differences(stored, expected)):
        return False
    expected.save()
    return True


def _of_account(owner: account_balances.Owner) -> Iterator[str]:
    stored = Account.objects.filter(pk=owner[0]).first()
    if stored is not None:  # a missing account is computed from the postings when first used
        for column, actual, expected in _differences(stored, account_balances.summed(*owner)):
            yield f"account of {owner[0]}: {column} is {actual}, sum of the postings is {expected}"


def _differences(stored: Account, expected: Account) -> Iterator[tuple[str, int, int]]:
    newest = max(stored.day, expected.day)
    stored, expected = stored.on(newest), expected.on(newest)
    for column in COLUMNS:
        if getattr(stored, column) != getattr(expected, column):
            yield column, getattr(stored, column), getattr(expected, column)


def _of_jobs(limit: int) -> Iterator[str]:
    """Check the postings of jobs.

    Active jobs must reserve their estimate; ended jobs must have released it, with a cost equal to
    the amount settled.
    """
    jobs = Job.objects.order_by().annotate(
        reserved=_posted(Posting.Kind.RESERVE, Posting.Kind.RELEASE), settled=_posted(Posting.Kind.SETTLE)
    )
    active, ended = jobs.exclude(state__in=TERMINAL), jobs.filter(state__in=TERMINAL)
    checks: list[tuple[str, QuerySet[Job]]] = [
        ("reserves an amount other than its estimate", active.exclude(reserved=in_micros("cost_estimate"))),
        ("is settled, but has not ended", active.exclude(settled=0)),
        ("has ended, but its reservation is not released", ended.exclude(reserved=0)),
        ("has a cost other than the settled amount", ended.exclude(settled=in_micros("cost"))),
    ]
    for problem, found in checks:
        for job_id, state in found.values_list("pk", "state")[:limit]:
            yield f"job {job_id} ({state}) {problem}"


def _posted(*kinds: Posting.Kind) -> Coalesce:
    postings = Posting.objects.filter(kind__in=kinds, job_id=OuterRef("pk")).order_by().values("job_id")
    total = postings.annotate(total=Sum(in_micros("amount"))).values("total")
    return Coalesce(Subquery(total), 0, output_field=BigIntegerField())


def _of_postings(limit: int) -> Iterator[str]:
    """Check that every settlement has a release and a reservation. Postings of deleted jobs are kept."""
    counts = {kind.value: Count("pk", filter=Q(kind=kind)) for kind in Posting.Kind}
    of_jobs = Posting.objects.order_by().values("job_id").annotate(**counts)
    for row in of_jobs.filter(Q(reserve=0) | Q(settle__gt=F("release")))[:limit]:
        yield f"job {row['job_id']} has postings without a reservation or a release"
