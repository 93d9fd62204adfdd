"""How long a source's images, input images and jobs are kept."""

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
    """Retention periods in days. Empty fields fall back to the settings; None there means forever."""

    keep_pictures_days = _days(
        _("days to keep images"),
        _("Counted from the end of the job. Empty: the platform's default, or forever if there is none."),
    )
    keep_inputs_days = _days(
        _("days to keep input images"),
        _(
            "Counted from the end of the last job that used them. Without its inputs, a job cannot be repeated."
        ),
    )
    keep_jobs_days = _days(
        _("days to keep jobs"),
        _("Then the job is deleted with everything that belongs to it. Its cost stays in the ledger."),
    )
    keep_trained_models_days = _days(
        _("days to keep trained models"),
        _(
            "Counted from the end of the training, and fixed then. A request may ask for fewer. Empty: the platform's "
            "default, or forever if there is none."
        ),
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
    def trained_models_days(self) -> int | None:
        return self.keep_trained_models_days or settings.KEEP_TRAINED_MODELS_DAYS

    @property
    def jobs_days(self) -> int | None:
        return self.keep_jobs_days or settings.KEEP_JOBS_DAYS
