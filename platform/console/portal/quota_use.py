"""Use of quotas by a source or a key, as rows for a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from access import account_balances
from access.accounts import MICROS, Account, owner_of_key
from access.models import AccessKey, BusinessSource

NEARLY = 0.9  # share of a quota from which on the page warns

# Column of the account, title, and the field of its limit.
PERIODS: list[tuple[str, str | Promise, str]] = [
    ("images_day", _("Images today"), "images_per_day"),
    ("cost_day", _("Cost units today"), "cost_per_day"),
    ("images_month", _("Images this month"), "images_per_month"),
    ("cost_month", _("Cost units this month"), "cost_per_month"),
    ("cost_total", _("Cost units in total"), "total_budget"),
]


@dataclass(frozen=True)
class QuotaUse:
    title: str | Promise
    used: Decimal
    limit: Decimal | None  # None: no limit
    format: str  # of the filter floatformat

    @property
    def percent(self) -> int:
        if self.limit is None:
            return 0
        return min(100, round(100 * self.used / self.limit)) if self.limit else 100

    @property
    def is_nearly_exhausted(self) -> bool:
        return self.limit is not None and self.used >= self.limit * Decimal(str(NEARLY))


def of_source(source: BusinessSource) -> list[QuotaUse]:
    """All periods of a source."""
    (account,) = account_balances.read(source.pk, None).values()
    return list(_rows(account.on(timezone.localdate()), source))


def of_key(key: AccessKey) -> list[QuotaUse]:
    """Today and this month, and each other period that is limited for the key."""
    account = account_balances.read(key.source_id, key.pk)[owner_of_key(key.pk)]
    rows = _rows(account.on(timezone.localdate()), key)
    return [row for number, row in enumerate(rows) if number in (0, 2) or row.limit is not None]


def _rows(account: Account, holder: BusinessSource | AccessKey) -> Iterator[QuotaUse]:
    for column, title, limit_name in PERIODS:
        is_cost = column.startswith("cost")
        used = Decimal(getattr(account, column)) / (MICROS if is_cost else 1)
        limit = getattr(holder, limit_name)
        yield QuotaUse(title, used, None if limit is None else Decimal(limit), "2g" if is_cost else "0g")
