"""Runners: the processes that execute generation jobs."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from access.encryption import EncryptedTextField
from gpu_runner.protocol import ServerCredentials


class Backend(models.TextChoices):
    """Implementation that executes jobs: the own pipeline, ComfyUI, or a trainer."""

    PIPELINE = "pipeline", "pipeline"
    COMFYUI = "comfyui", "ComfyUI"
    TRAINING = "training", _("training")


class ServerScheme(models.TextChoices):
    """How an adapter authenticates at its ComfyUI server."""

    NONE = "", _("none")
    BEARER = "bearer", "Authorization: Bearer"
    API_KEY = "api_key", "X-API-Key"
    BASIC = "basic", _("user and password")


class Runner(models.Model):
    """A runner process, with the status last reported to its generation cluster."""

    name = models.CharField(_("name"), max_length=64, unique=True)
    url = models.URLField(_("address"), max_length=300)
    token = EncryptedTextField(
        _("token"), blank=True, default="", help_text=_("Empty: the value of RUNNER_TOKEN.")
    )
    backend = models.CharField(
        _("backend"),
        max_length=16,
        default=Backend.PIPELINE,
        choices=Backend,
    )
    # Of the ComfyUI server behind an adapter. The generation cluster sends them to the adapter.
    server_scheme = models.CharField(
        _("ComfyUI authentication"),
        max_length=16,
        choices=ServerScheme,
        default=ServerScheme.NONE,
        blank=True,
    )
    server_secret = EncryptedTextField(_("ComfyUI secret"), blank=True, default="")
    server_ca = models.TextField(
        _("ComfyUI CA certificate"),
        blank=True,
        help_text=_(
            "PEM, if the certificate of the server is signed by a certificate authority of your own."
        ),
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    draining = models.BooleanField(
        _("draining"), default=False, help_text=_("Finishes its running jobs and accepts no new ones.")
    )
    slots = models.PositiveIntegerField(_("slots"), default=0, help_text=_("Reported by the runner."))
    boot_id = models.CharField(max_length=64, blank=True, editable=False)
    device = models.CharField(_("device"), max_length=200, blank=True, editable=False)
    loaded = models.JSONField(_("loaded models"), default=list, editable=False)  # sha256 of each
    load_seconds = models.JSONField(default=dict, editable=False)  # sha256 -> time of its last load
    memory_bytes = models.BigIntegerField(_("memory"), default=0, editable=False)
    version = models.CharField(_("version"), max_length=100, blank=True, editable=False)
    figures = models.JSONField(_("figures"), default=dict, editable=False)  # counters since process start
    # Version of the inventory stored in the two fields below.
    inventory = models.CharField(max_length=64, blank=True, editable=False)
    own_files = models.ManyToManyField(
        "models_registry.ModelFile", related_name="runners", editable=False, verbose_name=_("own model files")
    )
    nodes = models.JSONField(default=list, editable=False)  # node classes available to workflows
    # Model files that nodes offer: a list of {"inputs": ["CLASS.INPUT", …], "files": […]}.
    file_lists = models.JSONField(default=list, editable=False)
    seen_at = models.DateTimeField(_("last seen"), null=True, blank=True, editable=False)
    # Set when a claimed job was begun by no worker in time; cleared when one is begun again.
    hand_over_lost_at = models.DateTimeField(
        _("no worker has begun a job since"), null=True, blank=True, editable=False
    )
    # When the generation cluster last replaced one of its processes that had died.
    process_replaced_at = models.DateTimeField(
        _("worker process last replaced"), null=True, blank=True, editable=False
    )
    problem = models.CharField(_("problem"), max_length=300, blank=True, editable=False)

    class Meta:
        verbose_name = _("runner")
        verbose_name_plural = _("runners")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if "@" in urlsplit(self.url).netloc:
            raise ValidationError(
                {"url": _("The address must not contain a user name or a password. Set the token instead.")}
            )
        try:
            self.server_credentials  # noqa: B018 -- validates
        except ValueError:
            raise ValidationError(
                {"server_scheme": _("The secret must be one line of ASCII characters.")}
            ) from None
        if self.server_ca:
            try:
                ssl.create_default_context().load_verify_locations(cadata=self.server_ca)
            except (ssl.SSLError, ValueError) as error:
                raise ValidationError({"server_ca": _("Must be certificates in PEM format.")}) from error

    @property
    def server_credentials(self) -> ServerCredentials:
        """Credentials for the adapter. Raises ValueError."""
        scheme = self.server_scheme
        return ServerCredentials.model_validate(
            {"scheme": scheme, "secret": self.server_secret if scheme else "", "ca": self.server_ca}
        )
