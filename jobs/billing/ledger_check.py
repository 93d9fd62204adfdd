"""Whether jobs, postings and accounts tell the same story."""

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

COLUMNS = tuple(f"{what}_{period}" for what in ("images", "cost") for period in ("day", "month", "total"))
MOST_TOLD = 100  # of each kind of disagreement


def disagreements(most: int = MOST_TOLD) -> Iterator[str]:
    """One line for each, of one moment: work may go on meanwhile."""
    with _one_moment():
        for owner in _owners():
            yield from _of_account(owner)
        yield from _of_jobs(most)
        yield from _of_postings(most)


def repair() -> list[str]:
    """Accounts anew from the postings, each under its lock. Those that were wrong."""
    return [owner[0] for owner in _owners() if _repaired(owner)]


@contextmanager
def _one_moment() -> Iterator[None]:
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
def _repaired(owner: account_balances.Owner) -> bool:
    kept = Account.objects.select_for_update().filter(pk=owner[0]).first()
    if kept is None:
        return False
    right = account_balances.summed(*owner)
    if not any(_differences(kept, right)):
        return False
    right.save()
    return True


def _of_account(owner: account_balances.Owner) -> Iterator[str]:
    kept = Account.objects.filter(pk=owner[0]).first()
    if kept is not None:  # else it will be made of the postings when it is first asked for
        for column, is_, should in _differences(kept, account_balances.summed(*owner)):
            yield f"account of {owner[0]}: {column} is {is_}, its postings say {should}"


def _differences(kept: Account, right: Account) -> Iterator[tuple[str, int, int]]:
    newest = max(kept.day, right.day)
    kept, right = kept.on(newest), right.on(newest)
    for column in COLUMNS:
        if getattr(kept, column) != getattr(right, column):
            yield column, getattr(kept, column), getattr(right, column)


def _of_jobs(most: int) -> Iterator[str]:
    """A job holds its estimate until it ends; then it has cost what was settled, and holds nothing."""
    jobs = Job.objects.order_by().annotate(
        held=_posted(Posting.Kind.RESERVE, Posting.Kind.RELEASE), settled=_posted(Posting.Kind.SETTLE)
    )
    active, ended = jobs.exclude(state__in=TERMINAL), jobs.filter(state__in=TERMINAL)
    wrong: list[tuple[str, QuerySet[Job]]] = [
        ("holds another amount than its estimate", active.exclude(held=in_micros("cost_estimate"))),
        ("is settled before its end", active.exclude(settled=0)),
        ("has ended and still holds something", ended.exclude(held=0)),
        ("has another cost than was settled", ended.exclude(settled=in_micros("cost"))),
    ]
    for what, found in wrong:
        for job_id, state in found.values_list("pk", "state")[:most]:
            yield f"job {job_id} ({state}) {what}"


def _posted(*kinds: Posting.Kind) -> Coalesce:
    mine = Posting.objects.filter(kind__in=kinds, job_id=OuterRef("pk")).order_by().values("job_id")
    total = mine.annotate(total=Sum(in_micros("amount"))).values("total")
    return Coalesce(Subquery(total), 0, output_field=BigIntegerField())


def _of_postings(most: int) -> Iterator[str]:
    """Jobs may be gone and their postings stay; but nothing is released or settled that was not reserved."""
    counts = {kind.value: Count("pk", filter=Q(kind=kind)) for kind in Posting.Kind}
    of_jobs = Posting.objects.order_by().values("job_id").annotate(**counts)
    for row in of_jobs.filter(Q(reserve=0) | Q(settle__gt=F("release")))[:most]:
        yield f"job {row['job_id']} has postings that no reservation or no release goes with"
