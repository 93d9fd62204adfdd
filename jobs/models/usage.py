"""Who was served how much lately."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import models
from django.utils import timezone


class Usage(models.Model):
    """Device-seconds that each source got lately, decayed: what the policy calls 'least served'."""

    HALF_LIFE_S = 600.0

    source = models.OneToOneField(
        "access.BusinessSource", on_delete=models.CASCADE, primary_key=True, related_name="usage"
    )
    served = models.FloatField(default=0)  # device-seconds, worth what they were worth at `as_of`
    work = models.FloatField(
        default=0
    )  # the cost that those seconds paid for, decayed alike: gives seconds per cost
    as_of = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.source_id}: {self.served:.1f} s"

    def decay(self, now: datetime) -> float:
        """What a second of `as_of` is worth at ``now``."""
        return 0.5 ** (max(0.0, (now - self.as_of).total_seconds()) / self.HALF_LIFE_S)

    def add(self, device_seconds: float, work: float, now: datetime) -> None:
        decay = self.decay(now)
        self.served = self.served * decay + device_seconds
        self.work = self.work * decay + work
        self.as_of = max(now, self.as_of)


FIRST_GUESS_S_PER_COST = 0.1  # until something was measured


def seconds_per_cost() -> float:
    """Device-seconds, as lately measured."""
    return mean_seconds_per_cost(list(Usage.objects.all()))


def mean_seconds_per_cost(usages: Collection[Usage]) -> float:
    work = sum(usage.work for usage in usages)
    return sum(usage.served for usage in usages) / work if work > 0 else FIRST_GUESS_S_PER_COST
