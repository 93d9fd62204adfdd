"""Accounts beside postings. Whoever posts has locked the accounts first, so that their sums are always right."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

from django.db.models import BigIntegerField, Case, DateField, F, Max, Q, QuerySet, Sum, When
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from access.accounts import Account, Posting, in_micros, owner_of_key, owner_of_source
from statements import Ask, Statement, UpdateStatement, Write, given, together

Owner = tuple[str, dict[str, int]]  # its name, and which postings are its own
NEVER = date.min


def owners(source_id: int, key_id: int | None) -> list[Owner]:
    source: Owner = (owner_of_source(source_id), {"source": source_id})
    return [source] if key_id is None else [source, (owner_of_key(key_id), {"key_id": key_id})]


def all_locked(
    pairs: Collection[tuple[int, int | None]], *besides: Ask[Any]
) -> tuple[dict[str, Account], list[Any]]:
    """The accounts of sources and keys by owner, until the transaction ends; and what is asked besides, under the locks.

    An account that is not there yet is made of what was posted before.
    """
    if len(pairs) == 1:
        return _locked(*next(iter(pairs)), *besides)
    wanted = dict(owner for pair in pairs for owner in owners(*pair))
    together_locked = _in_order(Account.objects.filter(owner__in=wanted))
    found = {account.owner: account for account in together_locked}
    if missing := wanted.keys() - found.keys():
        Account.objects.bulk_create(
            [summed(name, wanted[name]) for name in sorted(missing)], ignore_conflicts=True
        )
        found = {account.owner: account for account in together_locked.all()}
    return found, together(*besides)


def _locked(source_id: int, key_id: int | None, *besides: Ask[Any]) -> tuple[dict[str, Account], list[Any]]:
    asked = ask_lock(source_id, key_id)
    accounts, *answers = together(asked, *besides)
    if make_missing(source_id, key_id, accounts):
        accounts, *answers = together(asked, *besides)
    return {account.owner: account for account in accounts}, answers


def ask_lock(source_id: int, key_id: int | None) -> Ask[list[Account]]:
    """For whoever posts something of them, and then makes those that are missing."""
    return _LOCKED.ask(**_names(source_id, key_id))


def make_missing(source_id: int, key_id: int | None, found: Collection[Account]) -> bool:
    """Of what was posted before; whether any was."""
    names = {account.owner for account in found}
    missing = [owner for owner in owners(source_id, key_id) if owner[0] not in names]
    if missing:
        Account.objects.bulk_create([summed(*owner) for owner in missing], ignore_conflicts=True)
    return bool(missing)


def read(source_id: int, key_id: int | None) -> dict[str, Account]:
    """By owner, as they are just now."""
    found = {account.owner: account for account in _READ.all(**_names(source_id, key_id))}
    return {name: found.get(name) or summed(name, mine) for name, mine in owners(source_id, key_id)}


def booking(source_id: int, key_id: int | None, *, day: date, images: int, micros: int) -> Write:
    """On both accounts at once. What belongs to a day or a month that is over counts in the totals alone."""
    names = _names(source_id, key_id)
    return _BOOK.write(**names, day=day, month=day.replace(day=1), images=images, cost=micros)


def summed(owner: str, mine: dict[str, int]) -> Account:
    """What the postings say. Not saved."""
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


def _names(source_id: int, key_id: int | None) -> dict[str, str]:
    return {
        "source_owner": owner_of_source(source_id),
        "key_owner": "" if key_id is None else owner_of_key(key_id),
    }


def _sums(postings: Any, period: str) -> dict[str, int]:
    found = postings.aggregate(images=Coalesce(Sum("images"), 0), cost=Coalesce(Sum(in_micros("amount")), 0))
    return {f"images_{period}": found["images"], f"cost_{period}": found["cost"]}


def _both() -> Any:
    return Account.objects.filter(Q(owner=given("source_owner")) | Q(owner=given("key_owner")))


def _in_order(accounts: QuerySet[Account]) -> QuerySet[Account]:
    """In one order, so that no two wait for each other."""
    return accounts.select_for_update(no_key=True).order_by("owner")


_READ = Statement(lambda: _both().order_by())
_LOCKED = Statement(lambda: _in_order(_both()))


def _in_period(period: str, what: str) -> Case:
    """A new period begins at nothing; what comes late for an old one is not counted in the new."""
    column, added = f"{what}_{period}", given(what)
    return Case(
        When(Q(**{f"{period}__lt": given(period)}), then=added),
        When(Q(**{period: given(period)}), then=F(column) + added),
        default=F(column),
        output_field=BigIntegerField(),
    )


_BOOK = UpdateStatement(
    _both,
    images_day=_in_period("day", "images"),
    images_month=_in_period("month", "images"),
    images_total=F("images_total") + given("images"),
    cost_day=_in_period("day", "cost"),
    cost_month=_in_period("month", "cost"),
    cost_total=F("cost_total") + given("cost"),
    day=Greatest(F("day"), given("day"), output_field=DateField()),
    month=Greatest(F("month"), given("month"), output_field=DateField()),
)
