"""Counters and timestamps in the database, shared by all processes."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Tally(models.Model):
    """Value of a counter for one combination of labels (a JSON object)."""

    name = models.CharField(_("name"), max_length=64)
    labels = models.CharField(_("labels"), max_length=300)
    value = models.FloatField(_("value"), default=0)

    class Meta:
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")
        constraints = [
            models.UniqueConstraint(fields=["name", "labels"], name="one_tally_per_name_and_labels")
        ]

    def __str__(self) -> str:
        return f"{self.name}{self.labels} {self.value:g}"


class Mark(models.Model):
    """Named timestamp: a heartbeat, or the position up to which something was processed."""

    name = models.CharField(_("name"), max_length=64, primary_key=True)
    at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("mark")
        verbose_name_plural = _("marks")

    def __str__(self) -> str:
        return f"{self.name} {self.at:%Y-%m-%d %H:%M:%S}"
