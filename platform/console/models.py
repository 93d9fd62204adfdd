"""Models of the console: the audit trail, and hourly job figures for the dashboard."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jobs.models import State


class AuditEntry(models.Model):
    """One page view or one change made by a user of the console. Append-only; deleted after AUDIT_KEEP_DAYS."""

    class Kind(models.TextChoices):
        VIEW = "look", _("view")
        CHANGE = "deed", _("change")
        SIGN_IN = "sign_in", _("sign-in")
        SIGN_OUT = "sign_out", _("sign-out")
        FAILED_SIGN_IN = "refused", _("failed sign-in")

    created_at = models.DateTimeField(_("at"), default=timezone.now)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("user"),
    )
    username = models.CharField(_("username"), max_length=150, blank=True)  # kept when the account is deleted
    address = models.CharField(_("IP address"), max_length=45, blank=True)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    page = models.CharField(_("page"), max_length=100, blank=True)  # the URL's name
    object_id = models.CharField(_("object"), max_length=64, blank=True)
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    status = models.PositiveSmallIntegerField(
        _("status"), default=200
    )  # HTTP status; denied attempts are kept too

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit trail")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="audit_newest"),
            models.Index(fields=["object_id", "-created_at", "-id"], name="audit_by_object"),
            models.Index(fields=["username", "-created_at", "-id"], name="audit_by_user"),
        ]

    def __str__(self) -> str:
        return f"{self.username} {self.get_kind_display()} {self.page} {self.object_id}"


class HourlyFigures(models.Model):
    """Number, cost and device seconds of jobs of a source that ended in one hour with one state and error code."""

    hour = models.DateTimeField(_("hour"))
    source = models.ForeignKey(
        "access.BusinessSource", on_delete=models.CASCADE, related_name="+", verbose_name=_("business source")
    )
    state = models.CharField(_("state"), max_length=10, choices=State)
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    jobs = models.PositiveIntegerField(_("jobs"))
    cost = models.DecimalField(_("cost"), max_digits=18, decimal_places=6)
    device_seconds = models.FloatField(_("device seconds"))
    # Sums over the jobs, in seconds, of the time before and since the start; null where no job started.
    wait_seconds = models.FloatField(_("wait"), null=True)
    run_seconds = models.FloatField(_("duration"), null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["hour", "source", "state", "error_code"], name="one_figure_per_hour"
            )
        ]
        indexes = [models.Index(fields=["source", "hour"], name="figures_by_source")]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.source_id} {self.state} {self.jobs}"


class Favorite(models.Model):
    """An image that a user marked in the gallery."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    output = models.ForeignKey("jobs.Output", on_delete=models.CASCADE, related_name="favorites")
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("favorite")
        verbose_name_plural = _("favorites")
        constraints = [models.UniqueConstraint(fields=["user", "output"], name="one_favorite_per_image")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.output_id}"
