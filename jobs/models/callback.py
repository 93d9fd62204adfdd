"""The outbox: one row for each callback that a client asked for, and a line for each time it was sent."""

from __future__ import annotations

import uuid

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
    # Also the receiver's means to know a delivery that it has had.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.OneToOneField(
        "jobs.Job", on_delete=models.CASCADE, related_name="callback", verbose_name=_("job")
    )
    dialect = models.CharField(_("dialect"), max_length=32)
    url = models.CharField(_("address"), max_length=2000)
    headers = models.JSONField(_("headers"), default=dict)  # the dialect's own
    extra = models.JSONField(_("extra"), default=dict)  # what the dialect needs to write the body
    base_url = models.CharField(max_length=300, blank=True)  # where the client finds its pictures
    body = models.TextField(_("body"), blank=True)  # written at the first attempt, the same at each one after

    state = models.CharField(_("state"), max_length=9, choices=CallbackState, default=CallbackState.WAITING)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)  # the fence: a sender names its attempt
    tries = models.PositiveIntegerField(default=0)  # attempts since it was last (re)started
    next_at = models.DateTimeField(
        _("next"), null=True, blank=True
    )  # while being sent: when that is given up
    last_status = models.PositiveIntegerField(_("last status"), null=True, blank=True)
    last_excerpt = models.CharField(_("last answer"), max_length=300, blank=True)
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


class CallbackAttempt(models.Model):
    """One time that a callback was sent, and what came of it."""

    callback = models.ForeignKey(
        Callback, on_delete=models.CASCADE, related_name="history", verbose_name=_("callback")
    )
    number = models.PositiveIntegerField(_("attempt"))
    at = models.DateTimeField(_("at"), default=timezone.now)
    status = models.PositiveIntegerField(_("status"), null=True, blank=True)  # none: nobody answered
    excerpt = models.CharField(_("answer"), max_length=300, blank=True)
    acknowledged = models.BooleanField(_("acknowledged"), default=False)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["id"]
        indexes = [models.Index(fields=["at"], name="attempt_at")]

    def __str__(self) -> str:
        return f"#{self.number}"
