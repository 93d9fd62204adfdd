"""Log of generated images that were handed out without a visible label."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class UnlabeledImages(models.Model):
    """Images of one job, drawn without the visible label by the consent of their source. Outlives the job."""

    job_id = models.UUIDField(_("job"), unique=True)
    source = models.ForeignKey(
        "access.BusinessSource",
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("business source"),
    )
    dialect = models.CharField(_("dialect"), max_length=32)
    key_id = models.CharField(_("key id"), max_length=64, blank=True)
    end_user = models.CharField(_("end user"), max_length=200, blank=True)
    images = models.PositiveIntegerField(_("images"))
    consent = models.TextField(_("consent to images without a visible label"))
    consent_on = models.DateField(_("date of the consent"), null=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("images without a visible label")
        verbose_name_plural = _("images without a visible label")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return str(self.job_id)
