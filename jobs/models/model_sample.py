"""Sample images of model files."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ModelSample(models.Model):
    """A job that renders a sample image of a model file. The console shows the latest successful one."""

    file = models.ForeignKey(
        "models_registry.ModelFile",
        on_delete=models.CASCADE,
        related_name="samples",
        verbose_name=_("model file"),
    )
    job = models.OneToOneField(
        "jobs.Job", on_delete=models.CASCADE, related_name="sample_of", verbose_name=_("job")
    )

    class Meta:
        verbose_name = _("sample image")
        verbose_name_plural = _("sample images")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.file_id}: {self.job_id}"
