"""Monthly billing statements of a source, grouped by day, dialect, model and key.

Computed from the ledger only, because postings are kept longer than jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, timedelta
from decimal import Decimal

from django.db.models import Count, Sum

from access.models import AccessKey, BusinessSource, Posting

from .cost import UNIT


@dataclass(frozen=True)
class Line:
    """Sum of the settled jobs of one day, dialect, model and key."""

    day: date
    dialect: str
    model: str
    key: str  # key_id; empty: submitted without a key
    jobs: int
    images: int
    cost: Decimal


@dataclass(frozen=True)
class AccountStatement:
    """Statement of one source for one month."""

    source: BusinessSource
    month: date  # first day of the month
    lines: list[Line]

    @property
    def jobs(self) -> int:
        return sum(line.jobs for line in self.lines)

    @property
    def images(self) -> int:
        return sum(line.images for line in self.lines)

    @property
    def cost(self) -> Decimal:
        return sum((line.cost for line in self.lines), Decimal(0))

    def by(self, column: str) -> list[Line]:
        """Group lines by ``day``, ``dialect``, ``model`` or ``key``; the other three columns are empty."""
        groups: dict[object, list[Line]] = {}
        for line in self.lines:
            groups.setdefault(getattr(line, column), []).append(line)
        return [_sum_of(column, value, lines, self.month) for value, lines in sorted(groups.items(), key=str)]


COLUMNS = tuple(field.name for field in fields(Line))


def statement(source: BusinessSource, month: date) -> AccountStatement:
    """Statement of a month. A job counts on the day of its admission (in TIME_ZONE), not of settlement."""
    first = month.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    settled = Posting.objects.filter(
        source=source, kind=Posting.Kind.SETTLE, day__gte=first, day__lt=following
    )
    rows = (
        settled.order_by("day", "dialect", "model", "key_id")
        .values_list("day", "dialect", "model", "key_id")
        .annotate(Count("id"), Sum("images"), Sum("amount"))
    )
    name = _key_names(source)
    return AccountStatement(
        source,
        first,
        [
            Line(day, dialect, model, name(key_id), jobs, images, cost.quantize(UNIT))  # SQLite sums floats
            for day, dialect, model, key_id, jobs, images, cost in rows
        ],
    )


def months(source: BusinessSource) -> list[date]:
    """Months with settled jobs, newest first."""
    settled = Posting.objects.filter(source=source, kind=Posting.Kind.SETTLE)
    return list(settled.dates("day", "month", order="DESC"))


def _key_names(source: BusinessSource) -> Callable[[int | None], str]:
    names = dict(AccessKey.objects.filter(source=source).values_list("pk", "key_id"))
    return lambda key_id: "" if key_id is None else names.get(key_id, f"#{key_id}")


def _sum_of(column: str, value: object, lines: list[Line], month: date) -> Line:
    columns: dict[str, object] = {"day": month, "dialect": "", "model": "", "key": ""} | {column: value}
    return Line(
        **columns,  # type: ignore[arg-type]
        jobs=sum(line.jobs for line in lines),
        images=sum(line.images for line in lines),
        cost=sum((line.cost for line in lines), Decimal(0)),
    )
