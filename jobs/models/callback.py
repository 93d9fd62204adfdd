"""Callback outbox: one row per callback, and one per delivery attempt."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class CallbackState(models.TextChoices):
    WAITING = "waiting", _("waiting for its job")
    PENDING = "pending", _("to be sent")
    SENDING = "sending", _("being sent")
    DELIVERED = "delivered", _("delivered")
    DEAD = "dead", _("given up")


class Callback(models.Model):
    """A callback (webhook) requested for a job or for a model to load, and the state of its delivery."""

    # Receivers can use the ID to detect duplicate deliveries.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # One of the two. Typed as never None: what a dialect reads of its jobs' callbacks has one.
    job: models.OneToOneField[Any, Any] = models.OneToOneField(
        "jobs.Job", on_delete=models.CASCADE, null=True, related_name="callback", verbose_name=_("job")
    )
    intake = models.OneToOneField(
        "jobs.ModelIntake",
        on_delete=models.CASCADE,
        null=True,
        related_name="callback",
        verbose_name=_("model from a URL"),
    )
    dialect = models.CharField(_("dialect"), max_length=32)
    url = models.CharField(_("address"), max_length=2000)
    headers = models.JSONField(_("headers"), default=dict)  # HTTP headers set by the dialect
    extra = models.JSONField(_("extra"), default=dict)  # data that the dialect needs to build the body
    base_url = models.CharField(max_length=300, blank=True)  # of the image URLs
    body = models.TextField(_("body"), blank=True)  # built at the first attempt, then reused

    state = models.CharField(_("state"), max_length=9, choices=CallbackState, default=CallbackState.WAITING)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)  # also the fencing token of senders
    tries = models.PositiveIntegerField(default=0)  # attempts since delivery was last started or restarted
    # Time of the next attempt; in state SENDING, the time at which the running attempt is considered lost.
    next_at = models.DateTimeField(_("next"), null=True, blank=True)
    last_status = models.PositiveIntegerField(_("last status"), null=True, blank=True)
    last_excerpt = models.CharField(_("last response"), max_length=300, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    delivered_at = models.DateTimeField(_("delivered"), null=True, blank=True)

    class Meta:
        verbose_name = _("callback")
        verbose_name_plural = _("callbacks")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["state", "next_at"], name="callback_due"),
            models.Index(fields=["-created_at"], name="callback_newest"),
            models.Index(fields=["state", "-created_at"], name="callback_by_state"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def subject(self) -> Any:
        """What the callback reports: a job, or a model to load."""
        return self.job or self.intake


class CallbackAttempt(models.Model):
    """One delivery attempt of a callback, and its result."""

    callback = models.ForeignKey(
        Callback, on_delete=models.CASCADE, related_name="history", verbose_name=_("callback")
    )
    number = models.PositiveIntegerField(_("attempt"))
    at = models.DateTimeField(_("at"), default=timezone.now)
    status = models.PositiveIntegerField(_("status"), null=True, blank=True)  # null: no response
    excerpt = models.CharField(_("response"), max_length=300, blank=True)
    acknowledged = models.BooleanField(_("acknowledged"), default=False)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["id"]
        indexes = [models.Index(fields=["at"], name="attempt_at")]

    def __str__(self) -> str:
        return f"#{self.number}"
