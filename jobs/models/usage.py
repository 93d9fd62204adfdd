"""Recent device time per source, exponentially decayed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import models
from django.utils import timezone


class Usage(models.Model):
    """Recent device-seconds of a source, decayed with HALF_LIFE_S; decides which source is least served."""

    HALF_LIFE_S = 600.0

    source = models.OneToOneField(
        "access.BusinessSource", on_delete=models.CASCADE, primary_key=True, related_name="usage"
    )
    served = models.FloatField(default=0)  # device-seconds, decayed to `as_of`
    work = models.FloatField(default=0)  # cost of those device-seconds, decayed likewise
    as_of = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.source_id}: {self.served:.1f} s"

    def decay(self, now: datetime) -> float:
        """Decay factor from `as_of` to ``now``, from 0 to 1."""
        return 0.5 ** (max(0.0, (now - self.as_of).total_seconds()) / self.HALF_LIFE_S)

    def add(self, device_seconds: float, work: float, now: datetime) -> None:
        """Decay to ``now``, then add. Does not save."""
        decay = self.decay(now)
        self.served = self.served * decay + device_seconds
        self.work = self.work * decay + work
        self.as_of = max(now, self.as_of)


FIRST_GUESS_S_PER_COST = 0.1  # used until there are measurements


def seconds_per_cost() -> float:
    """Recent average of device-seconds per cost unit."""
    return mean_seconds_per_cost(list(Usage.objects.all()))


def mean_seconds_per_cost(usages: Collection[Usage]) -> float:
    work = sum(usage.work for usage in usages)
    return sum(usage.served for usage in usages) / work if work > 0 else FIRST_GUESS_S_PER_COST
