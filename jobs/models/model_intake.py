"""Model files that are loaded from URLs: one row per request, with its progress and outcome."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class IntakeState(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("being loaded")
    READY = "ready", _("ready")
    FAILED = "failed", _("failed")


class ModelIntake(models.Model):
    """A request to load a model file from a URL, by a client for its source or by an operator for all sources."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(
        "access.BusinessSource",
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=_("business source"),
    )
    key = models.ForeignKey(
        "access.AccessKey",
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("access key"),
    )
    requested_by = models.CharField(_("requested by"), max_length=200)  # key id, or user of the console
    dialect = models.CharField(_("dialect"), max_length=32)
    # Its query, which may hold a token, is removed when the intake ends.
    url = models.CharField(_("address"), max_length=2000)
    name = models.CharField(_("name"), max_length=100)
    title = models.CharField(_("title"), max_length=100, blank=True)  # a second name
    kind = models.CharField(
        _("kind"), max_length=16, blank=True
    )  # a models_registry.Kind; empty: as detected
    families = models.JSONField(_("families"), default=list)  # expected ones; empty: any
    file_format = models.CharField(_("format"), max_length=16, blank=True)  # expected one; empty: as detected
    is_shared = models.BooleanField(_("for all sources"), default=False)

    state = models.CharField(_("state"), max_length=8, choices=IntakeState, default=IntakeState.QUEUED)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)  # also the fencing token of workers
    lease_until = models.DateTimeField(null=True, editable=False)
    received_bytes = models.BigIntegerField(_("received bytes"), default=0)
    total_bytes = models.BigIntegerField(_("size in bytes"), null=True)  # as the server announced
    error = models.CharField(_("error"), max_length=500, blank=True)
    file = models.ForeignKey(
        "models_registry.ModelFile",
        on_delete=models.SET_NULL,
        null=True,
        related_name="intakes",
        verbose_name=_("model file"),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("model from a URL")
        verbose_name_plural = _("models from URLs")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["state", "created_at"], name="intake_by_state"),
            models.Index(fields=["source", "name"], name="intake_by_name"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_over(self) -> bool:
        return self.state in (IntakeState.READY, IntakeState.FAILED)

    @property
    def address(self) -> str:
        """The URL without its query, which may hold a token."""
        return self.url.partition("?")[0].partition("#")[0]
