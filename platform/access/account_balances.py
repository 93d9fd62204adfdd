"""Accounts: the sums of the postings. Every writer of postings locks the accounts first, so that the sums stay exact."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

from django.db.models import Max, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from access.accounts import Account, Posting, in_micros, owner_of_key, owner_of_source

Owner = tuple[str, dict[str, int]]  # the account's primary key, and the filter that selects its postings
NEVER = date.min


def owners(source_id: int, key_id: int | None) -> list[Owner]:
    """The accounts that a job of this source and key is booked on."""
    source: Owner = (owner_of_source(source_id), {"source": source_id})
    return [source] if key_id is None else [source, (owner_of_key(key_id), {"key_id": key_id})]


def lock(pairs: Collection[tuple[int, int | None]]) -> dict[str, Account]:
    """Lock the accounts of these sources and keys until the transaction ends. Returns them by owner.

    The rows are locked in one order, so that two transactions cannot deadlock. A missing account is created from its
    postings.
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
    """Add to the locked accounts of source and key, in memory. ``save`` writes them."""
    for owner, _filter in owners(source_id, key_id):
        accounts[owner].add(day, images, micros)


def save(accounts: dict[str, Account]) -> None:
    """Write accounts that this transaction has locked."""
    for account in accounts.values():
        account.save(force_update=True)


def read(source_id: int, key_id: int | None) -> dict[str, Account]:
    """The accounts by owner, without a lock."""
    wanted = owners(source_id, key_id)
    found = Account.objects.in_bulk([name for name, _filter in wanted])
    return {name: found.get(name) or summed(name, mine) for name, mine in wanted}


def summed(owner: str, mine: dict[str, int]) -> Account:
    """The account that the postings add up to. Not saved."""
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
