"""Which job an Idempotency-Key has become."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy


class IdempotencyKey(models.Model):
    source = models.ForeignKey("access.BusinessSource", on_delete=models.CASCADE, related_name="+")
    dialect = models.CharField(max_length=32)
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="idempotency_keys")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = gettext_lazy("idempotency key")
        verbose_name_plural = gettext_lazy("idempotency keys")
        constraints = [
            models.UniqueConstraint(fields=["source", "dialect", "key"], name="one_job_per_idempotency_key")
        ]

    def __str__(self) -> str:
        return self.key
