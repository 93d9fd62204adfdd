"""Quotas and budgets of sources and keys: per day, per month and in total.

No database access; only error messages depend on the active language.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from math import ceil
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from access.accounts import MICROS, Account, owner_of_key, owner_of_source
from access.models import AccessKey, BusinessSource
from jobs.errors import BudgetSpent, QuotaSpent, Refused

Holder = BusinessSource | AccessKey


class Period(StrEnum):
    DAY = "day"
    MONTH = "month"
    EVER = "ever"


@dataclass(frozen=True)
class Quota:
    limit: str  # field of the source or key
    column: str  # column of the account
    counts_images: bool
    period: Period


QUOTAS = (
    Quota("images_per_day", "images_day", True, Period.DAY),
    Quota("images_per_month", "images_month", True, Period.MONTH),
    Quota("cost_per_day", "cost_day", False, Period.DAY),
    Quota("cost_per_month", "cost_month", False, Period.MONTH),
    Quota("total_budget", "cost_total", False, Period.EVER),
)


@dataclass(frozen=True)
class Allowance:
    """Limit and usage of one quota. Reservations of active jobs count as used."""

    holder: Holder
    quota: Quota
    limit: Decimal
    used: Decimal
    renews_at: datetime | None

    @property
    def left(self) -> Decimal:
        return max(Decimal(0), self.limit - self.used)


def allowances(holder: Holder, account: Account, now: datetime) -> list[Allowance]:
    """Allowances of a source or key, for the quotas that are set."""
    set_ = [quota for quota in QUOTAS if getattr(holder, quota.limit) is not None]
    if not set_:
        return []
    standing = account.on(timezone.localdate(now))
    return [
        Allowance(
            holder,
            quota,
            Decimal(getattr(holder, quota.limit)),
            _used(standing, quota),
            _renews_at(quota.period, standing.day),
        )
        for quota in set_
    ]


def every_allowance(
    source: BusinessSource, key: AccessKey | None, accounts: dict[str, Account], now: datetime
) -> list[Allowance]:
    """Allowances of the source and, if there is one, of the key."""
    of_source = allowances(source, accounts[owner_of_source(source.pk)], now)
    return of_source if key is None else of_source + allowances(key, accounts[owner_of_key(key.pk)], now)


def exceeded(allowed: list[Allowance], images: int, cost: Decimal, now: datetime) -> Iterator[Refused]:
    """Yield a refusal for each allowance that a job with so many images and this cost would exceed."""
    for allowance in allowed:
        asked = Decimal(images) if allowance.quota.counts_images else cost
        if asked > allowance.left:
            yield _refusal(allowance, asked, now)


def _used(account: Account, quota: Quota) -> Decimal:
    counted = Decimal(getattr(account, quota.column))
    return counted if quota.counts_images else counted / MICROS


def _renews_at(period: Period, today: date) -> datetime | None:
    match period:
        case Period.DAY:
            return _midnight(today + timedelta(days=1))
        case Period.MONTH:
            return _midnight((today.replace(day=1) + timedelta(days=32)).replace(day=1))
    return None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def _refusal(allowance: Allowance, asked: Decimal, now: datetime) -> Refused:
    words: dict[str, Any] = {
        "holder": str(getattr(allowance.holder, "name", allowance.holder)),
        "asked": _plain(asked),
        "left": _plain(allowance.left),
        "limit": _plain(allowance.limit),
    }
    message = _message(allowance.quota) % words
    if allowance.renews_at is None:
        return BudgetSpent(message)
    fits_once_renewed = asked <= allowance.limit
    wait = ceil((allowance.renews_at - now).total_seconds()) if fits_once_renewed else None
    return QuotaSpent(message, retry_after=wait)


def _message(quota: Quota) -> str:
    match quota.counts_images, quota.period:
        case True, Period.DAY:
            return _("%(holder)s has %(left)s of %(limit)s images left today; this request has %(asked)s.")
        case True, Period.MONTH:
            return _(
                "%(holder)s has %(left)s of %(limit)s images left this month; this request has %(asked)s."
            )
        case False, Period.DAY:
            return _("%(holder)s has %(left)s of %(limit)s cost units left today; this needs %(asked)s.")
        case False, Period.MONTH:
            return _("%(holder)s has %(left)s of %(limit)s cost units left this month; this needs %(asked)s.")
    return _("%(holder)s has %(left)s of %(limit)s cost units left in its budget; this needs %(asked)s.")


def _plain(number: Decimal) -> str:
    """Format without exponent and trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
