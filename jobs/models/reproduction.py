"""Reproductions: jobs that draw the image of a capsule again."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Reproduction(models.Model):
    """What a job reproduces, and how its image differs from the original one."""

    job = models.OneToOneField(
        "jobs.Job",
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="reproduction",
        verbose_name=_("job"),
    )
    capsule = models.JSONField(_("capsule"))  # a jobs.reproduction.capsule.Capsule
    # The original image: an output of the same source, or an input image that was sent with the capsule.
    original = models.ForeignKey(
        "jobs.Output", on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("original")
    )
    original_sent = models.CharField(max_length=64, blank=True, default="")
    # Conditions that are known at admission to differ from those of the original: a list of texts.
    warnings = models.JSONField(default=list)
    # A jobs.reproduction.comparison.Comparison, since it was first read after the end of the job.
    comparison = models.JSONField(null=True)

    class Meta:
        verbose_name = _("reproduction")
        verbose_name_plural = _("reproductions")

    def __str__(self) -> str:
        return str(self.job_id)
