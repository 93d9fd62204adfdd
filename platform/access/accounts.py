"""The ledger. Postings are the immutable source of truth; accounts hold their sums, which admission reads.

Amounts of accounts are integers in millionths of a cost unit, because SQLite adds decimals up as floats.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from django.db import models
from django.db.models import F
from django.db.models.functions import Cast, Round
from django.utils.translation import gettext_lazy as _

MICROS = 1_000_000


class Posting(models.Model):
    """One line of the ledger, append-only. Reserved and used amounts are sums of postings."""

    class Kind(models.TextChoices):
        RESERVE = "reserve", _("reserved")  # estimated cost, added at admission
        RELEASE = "release", _("released")  # the reservation, subtracted when the job ends in any state
        SETTLE = "settle", _("settled")  # cost of the work that was done

    source = models.ForeignKey(
        "access.BusinessSource",
        on_delete=models.PROTECT,
        related_name="postings",
        verbose_name=_("business source"),
    )
    # Stored by value, not as foreign keys: the ledger is kept after jobs, keys and model files are deleted.
    key_id = models.BigIntegerField(_("access key"), null=True, editable=False)
    job_id = models.UUIDField(_("job"))
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    amount = models.DecimalField(_("amount"), max_digits=18, decimal_places=6, default=Decimal(0))
    images = models.IntegerField(_("images"), default=0)
    day = models.DateField(
        _("day")
    )  # day of admission in TIME_ZONE; all postings of a job count for this day
    dialect = models.CharField(_("dialect"), max_length=32, blank=True)
    model = models.CharField(_("model"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("posting")
        verbose_name_plural = _("postings")
        ordering = ["-id"]
        constraints = [
            # Prevents billing a job twice.
            models.UniqueConstraint(fields=["job_id", "kind"], name="one_posting_of_a_kind_per_job"),
        ]
        indexes = [models.Index(fields=["source", "kind", "day"], name="posting_by_day")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.amount}"


class Account(models.Model):
    """Reserved and used images and costs of a source or a key.

    Sums are kept for the newest day and month with postings, and in total. Costs are in millionths of a cost unit.
    """

    owner = models.CharField(primary_key=True, max_length=32)
    day = models.DateField()
    month = models.DateField()  # first day of the month
    images_day = models.BigIntegerField(default=0)
    images_month = models.BigIntegerField(default=0)
    images_total = models.BigIntegerField(default=0)
    cost_day = models.BigIntegerField(default=0)
    cost_month = models.BigIntegerField(default=0)
    cost_total = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.owner

    def add(self, day: date, images: int, micros: int) -> None:
        """Add a posting of that day, in memory. A past day or month counts only in the totals. Does not save."""
        current = self.on(day)
        for period, begins in (("day", day), ("month", day.replace(day=1))):
            is_past = begins < getattr(self, period)
            for unit, added in (("images", images), ("cost", micros)):
                column = f"{unit}_{period}"
                setattr(self, column, getattr(current, column) + (0 if is_past else added))
        self.images_total += images
        self.cost_total += micros
        self.day, self.month = current.day, current.month

    def on(self, today: date) -> Account:
        """A copy as of ``today``: the sums of a past day or month start again at 0. Not saved."""
        day, month = max(self.day, today), max(self.month, today.replace(day=1))
        same_day, same_month = day == self.day, month == self.month
        return Account(
            owner=self.owner,
            day=day,
            month=month,
            images_day=self.images_day if same_day else 0,
            cost_day=self.cost_day if same_day else 0,
            images_month=self.images_month if same_month else 0,
            cost_month=self.cost_month if same_month else 0,
            images_total=self.images_total,
            cost_total=self.cost_total,
        )


class RateBucket(models.Model):
    """Token bucket of a rate limit, stored as the time at which it will be full again."""

    owner = models.CharField(primary_key=True, max_length=32)
    full_at = models.FloatField()  # seconds since the epoch

    def __str__(self) -> str:
        return self.owner


def in_micros(column: str) -> Cast:
    """SQL expression: a decimal column in millionths, as an integer."""
    return Cast(Round(F(column) * MICROS), models.BigIntegerField())


def owner_of_source(source_id: int) -> str:
    return f"source {source_id}"


def owner_of_key(key_id: int) -> str:
    return f"key {key_id}"
