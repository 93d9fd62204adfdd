"""For how long a source's pictures, inputs and jobs are kept."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


def _days(name: Any, help_text: Any = "") -> models.PositiveIntegerField[Any, Any]:
    return models.PositiveIntegerField(
        name,
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(36500)],
        help_text=help_text,
    )


class Retention(models.Model):
    keep_pictures_days = _days(
        _("pictures are kept for days"),
        _("After the end of their job. Empty: as the platform's settings say, or for ever."),
    )
    keep_inputs_days = _days(
        _("input pictures are kept for days"),
        _("After the end of the last job that used them. A job cannot be repeated without its inputs."),
    )
    keep_jobs_days = _days(
        _("jobs are kept for days"),
        _("With everything that belongs to them. What they cost stays in the ledger."),
    )

    class Meta:
        abstract = True

    @property
    def pictures_days(self) -> int | None:
        return self.keep_pictures_days or settings.KEEP_PICTURES_DAYS

    @property
    def inputs_days(self) -> int | None:
        return self.keep_inputs_days or settings.KEEP_INPUTS_DAYS

    @property
    def jobs_days(self) -> int | None:
        return self.keep_jobs_days or settings.KEEP_JOBS_DAYS
