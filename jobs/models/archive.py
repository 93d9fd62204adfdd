"""Input images used by jobs, and archived jobs."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class JobInput(models.Model):
    """Use of an input image by a job. The image is identified by SHA-256 and stored once for all tenants."""

    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="inputs", db_index=False)
    sha256 = models.CharField(max_length=64, db_index=True)

    class Meta:
        verbose_name = _("input of a job")
        verbose_name_plural = _("inputs of jobs")
        constraints = [models.UniqueConstraint(fields=["job", "sha256"], name="one_row_per_job_and_input")]

    def __str__(self) -> str:
        return f"{self.job_id} {self.sha256[:12]}"


class ArchivedJob(models.Model):
    """An old job whose images were deleted, in a table of its own to keep the Job table small."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(
        "access.BusinessSource",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        verbose_name=_("business source"),
    )
    dialect = models.CharField(_("dialect"), max_length=32)
    external_id = models.CharField(_("external id"), max_length=200, blank=True)
    state = models.CharField(_("state"), max_length=10)
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    cost = models.DecimalField(_("cost"), max_digits=18, decimal_places=6, default=0)
    device_seconds = models.FloatField(_("device seconds"), default=0)
    created_at = models.DateTimeField(_("created"))
    finished_at = models.DateTimeField(_("finished"))
    record = models.JSONField(_("record"), default=dict)  # the other columns of the job, and its transitions

    class Meta:
        verbose_name = _("archived job")
        verbose_name_plural = _("archived jobs")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="archive_newest"),
            models.Index(fields=["source", "-created_at", "-id"], name="archive_by_source"),
            models.Index(fields=["source", "external_id"], name="archive_by_callers_id"),
            models.Index(fields=["source", "finished_at"], name="archive_ends"),
        ]

    def __str__(self) -> str:
        return str(self.id)
