"""Trainings of LoRAs: what a job of task=train_lora has besides its request, and its result."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .job import Job, State


class Training(models.Model):
    """A training, with the curve of its loss. Its state, price and images are those of its job."""

    job = models.OneToOneField(
        Job, on_delete=models.CASCADE, primary_key=True, related_name="training", verbose_name=_("job")
    )
    name = models.CharField(_("name"), max_length=100)  # of the LoRA in requests
    description = models.TextField(_("description"), blank=True, max_length=2000)
    # Days to keep the LoRA; the source may have a lower number. None: as the source has it.
    keep_days = models.PositiveIntegerField(_("days to keep"), null=True, blank=True)
    # Points (step, mean loss of the latest steps), thinned out as they become too many.
    losses = models.JSONField(_("loss"), default=list, editable=False)
    # The LoRA. It is disabled until the job has succeeded.
    file = models.ForeignKey(
        "models_registry.ModelFile",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="trainings",
        verbose_name=_("model file"),
    )

    class Meta:
        verbose_name = _("training")
        verbose_name_plural = _("trainings")

    def __str__(self) -> str:
        return self.name

    @property
    def is_paused(self) -> bool:
        """Whether it waits, after a part of its steps, to go on from its saved state."""
        return bool(self.job.state == State.QUEUED and self.job.step)
