"""Account balances: sums of the postings. Writers of postings lock the accounts first to keep sums exact."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

from django.db.models import Max, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from access.accounts import Account, Posting, in_micros, owner_of_key, owner_of_source

Owner = tuple[str, dict[str, int]]  # primary key of the account, and the filter that selects its postings
NEVER = date.min
BALANCES = [field.name for field in Account._meta.concrete_fields if not field.primary_key]


def owners(source_id: int, key_id: int | None) -> list[Owner]:
    """Accounts to which a job of this source and key is posted."""
    source: Owner = (owner_of_source(source_id), {"source": source_id})
    return [source] if key_id is None else [source, (owner_of_key(key_id), {"key_id": key_id})]


def lock(pairs: Collection[tuple[int, int | None]]) -> dict[str, Account]:
    """Lock the accounts of these sources and keys until the transaction ends. Returns them by owner.

    Rows are locked in a fixed order to prevent deadlocks. A missing account is created from its postings.
    """
    wanted = dict(owner for pair in pairs for owner in owners(*pair))
    rows = Account.objects.filter(owner__in=wanted).select_for_update(no_key=True).order_by("owner")
    found = {account.owner: account for account in rows}
    if missing := wanted.keys() - found.keys():
        Account.objects.bulk_create(
            [summed(name, wanted[name]) for name in sorted(missing)], ignore_conflicts=True
        )
        found = {account.owner: account for account in rows.all()}
    return found


def book(
    accounts: dict[str, Account], source_id: int, key_id: int | None, *, day: date, images: int, micros: int
) -> None:
    """Add to the locked accounts of source and key, in memory only; ``save`` writes them."""
    for owner, _filter in owners(source_id, key_id):
        accounts[owner].add(day, images, micros)


def save(accounts: dict[str, Account]) -> None:
    """Write accounts that this transaction has locked, in one query."""
    Account.objects.bulk_create(
        accounts.values(), update_conflicts=True, unique_fields=["owner"], update_fields=BALANCES
    )


def read(source_id: int, key_id: int | None) -> dict[str, Account]:
    """Read the accounts without a lock. Returns them by owner."""
    wanted = owners(source_id, key_id)
    found = Account.objects.in_bulk([name for name, _filter in wanted])
    return {name: found.get(name) or summed(name, mine) for name, mine in wanted}


def summed(owner: str, mine: dict[str, int]) -> Account:
    """Sum the postings into an account, without saving it."""
    postings = Posting.objects.filter(**mine).order_by()
    newest = postings.aggregate(day=Max("day"))["day"] or NEVER
    month = newest.replace(day=1)
    return Account(
        owner=owner,
        day=newest,
        month=month,
        **_sums(postings.filter(day=newest), "day"),
        **_sums(postings.filter(day__gte=month), "month"),
        **_sums(postings, "total"),
    )


def accounting_day(moment: datetime) -> date:
    return timezone.localdate(moment)


def _sums(postings: QuerySet[Posting], period: str) -> dict[str, Any]:
    found = postings.aggregate(images=Coalesce(Sum("images"), 0), cost=Coalesce(Sum(in_micros("amount")), 0))
    return {f"images_{period}": found["images"], f"cost_{period}": found["cost"]}
