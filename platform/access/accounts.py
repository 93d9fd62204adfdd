"""The ledger: postings are the truth and never change; accounts are their sums, kept for admission to look at.

Amounts of accounts are millionths of a cost unit, in whole numbers: SQLite would add decimals up as floats.
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
    """One line of the ledger, never changed. Whatever was held or used is a sum of postings."""

    class Kind(models.TextChoices):
        RESERVE = "reserve", _("reserved")  # + held, at admission
        RELEASE = "release", _("released")  # - held, at the end, whatever the end
        SETTLE = "settle", _("settled")  # + used, by real work

    source = models.ForeignKey(
        "access.BusinessSource",
        on_delete=models.PROTECT,
        related_name="postings",
        verbose_name=_("business source"),
    )
    # By value: the ledger outlives the rows of jobs, keys and model files.
    key_id = models.BigIntegerField(_("access key"), null=True, editable=False)
    job_id = models.UUIDField(_("job"))
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    amount = models.DecimalField(_("amount"), max_digits=18, decimal_places=6, default=Decimal(0))
    images = models.IntegerField(_("pictures"), default=0)
    day = models.DateField(_("day"))  # of the job's admission, in TIME_ZONE: all its postings count there
    dialect = models.CharField(_("dialect"), max_length=32, blank=True)
    model = models.CharField(_("model"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("posting")
        verbose_name_plural = _("postings")
        ordering = ["-id"]
        constraints = [
            # The database itself refuses to bill a job twice.
            models.UniqueConstraint(fields=["job_id", "kind"], name="one_posting_of_a_kind_per_job"),
        ]
        indexes = [models.Index(fields=["source", "kind", "day"], name="posting_by_day")]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"


class Account(models.Model):
    """What a source, or a key, has reserved and used: in its newest day and month with any work, and in all."""

    owner = models.CharField(primary_key=True, max_length=32)
    day = models.DateField()
    month = models.DateField()  # its first day
    images_day = models.BigIntegerField(default=0)
    images_month = models.BigIntegerField(default=0)
    images_total = models.BigIntegerField(default=0)
    cost_day = models.BigIntegerField(default=0)
    cost_month = models.BigIntegerField(default=0)
    cost_total = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.owner

    def add(self, day: date, images: int, micros: int) -> None:
        """Book a posting of that day. Not saved. A day or month that is over counts in the totals only."""
        standing = self.on(day)
        for period, begins in (("day", day), ("month", day.replace(day=1))):
            late = begins < getattr(self, period)
            for what, added in (("images", images), ("cost", micros)):
                column = f"{what}_{period}"
                setattr(self, column, getattr(standing, column) + (0 if late else added))
        self.images_total += images
        self.cost_total += micros
        self.day, self.month = standing.day, standing.month

    def on(self, today: date) -> Account:
        """As it stands on that day, on which nothing may have been asked for yet. Not saved."""
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
    """A bucket of tokens as one number: the moment at which it will be full again."""

    owner = models.CharField(primary_key=True, max_length=32)
    full_at = models.FloatField()  # seconds since 1970

    def __str__(self) -> str:
        return self.owner


def in_micros(column: str) -> Cast:
    return Cast(Round(F(column) * MICROS), models.BigIntegerField())


def owner_of_source(source_id: int) -> str:
    return f"source {source_id}"


def owner_of_key(key_id: int) -> str:
    return f"key {key_id}"
