"""Limits of business sources and access keys. Both apply to a request; an empty limit does not limit anything."""

from __future__ import annotations

from fnmatch import fnmatchcase
from math import ceil
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.addresses.networks import in_networks, is_network

# The kinds of models_registry, which is a higher layer and cannot be imported here; a test compares them.
KINDS = (
    "checkpoint",
    "lora",
    "vae",
    "controlnet",
    "embedding",
    "upscaler",
    "preprocessor",
    "matting",
    "nsfw",
    "face_detector",
    "face_restorer",
    "text_detector",
    "tagger",
    "detector",
    "diffusion_model",
    "text_encoder",
)


def _cost_units(name: Any, help_text: Any = "") -> models.DecimalField[Any, Any]:
    return models.DecimalField(
        name,
        max_digits=18,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=help_text,
    )


class Limits(models.Model):
    """Limits that sources and keys have in common."""

    requests_per_second = models.FloatField(
        _("requests per second"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.001), MaxValueValidator(10_000)],
        help_text=_("All requests count, including those that query the state of a job."),
    )
    burst = models.PositiveIntegerField(
        _("burst"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100_000)],
        help_text=_("Burst size. Empty: same as the rate per second."),
    )
    images_per_day = models.PositiveIntegerField(_("images per day"), null=True, blank=True)
    images_per_month = models.PositiveIntegerField(_("images per month"), null=True, blank=True)
    trainings_per_month = models.PositiveIntegerField(
        _("trainings per month"),
        null=True,
        blank=True,
        help_text=_("LoRAs to train. 0: none. Empty: no limit."),
    )
    cost_per_day = _cost_units(_("cost units per day"))
    cost_per_month = _cost_units(_("cost units per month"))
    total_budget = _cost_units(
        _("total budget"),
        _("Cost units over the whole lifetime. It is not renewed: raise it to add budget."),
    )
    dialects = models.JSONField(
        _("dialects"), default=list, blank=True, help_text=_("Names of the permitted dialects. Empty: all.")
    )
    networks = models.JSONField(
        _("networks"),
        default=list,
        blank=True,
        help_text=_('Networks of permitted callers: ["10.0.0.0/8"]. Empty: all.'),
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)

    class Meta:
        abstract = True

    def clean(self) -> None:
        super().clean()
        if not isinstance(self.dialects, list) or not all(isinstance(name, str) for name in self.dialects):
            raise ValidationError({"dialects": _("Must be a list of names.")})
        if not isinstance(self.networks, list) or not all(map(is_network, self.networks)):
            raise ValidationError({"networks": _("Must be a list of networks such as 10.0.0.0/8.")})
        if self.burst is not None and self.requests_per_second is None:
            raise ValidationError({"burst": _("A burst size requires a limit of requests per second.")})

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    def allows_dialect(self, dialect: str) -> bool:
        return not self.dialects or dialect in self.dialects

    def allows_address(self, address: str) -> bool:
        return not self.networks or in_networks(address, self.networks)

    @property
    def most_at_once(self) -> int:
        return self.burst or max(1, ceil(self.requests_per_second or 0))


class SourceLimits(Limits):
    """Limits of a source. Unlike those of a key, job size and number of jobs are never unlimited."""

    max_concurrent_jobs = models.PositiveIntegerField(
        _("concurrent jobs"), default=8, validators=[MinValueValidator(1)]
    )
    max_queued_jobs = models.PositiveIntegerField(_("queued jobs"), default=200)
    max_width = models.PositiveIntegerField(
        _("max width"), default=2048, validators=[MaxValueValidator(4096)]
    )
    max_height = models.PositiveIntegerField(
        _("max height"), default=2048, validators=[MaxValueValidator(4096)]
    )
    max_steps = models.PositiveIntegerField(_("max steps"), default=150, validators=[MaxValueValidator(500)])
    max_images = models.PositiveIntegerField(
        _("max images per job"), default=16, validators=[MaxValueValidator(256)]
    )
    max_training_steps = models.PositiveIntegerField(
        _("max steps of a training"), default=5000, validators=[MaxValueValidator(20_000)]
    )
    max_training_images = models.PositiveIntegerField(
        _("max images of a training"), default=200, validators=[MaxValueValidator(200)]
    )

    class Meta:
        abstract = True


class KeyLimits(Limits):
    """Limits of a key, which apply in addition to those of its source."""

    max_concurrent_jobs = models.PositiveIntegerField(
        _("concurrent jobs"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    max_queued_jobs = models.PositiveIntegerField(_("queued jobs"), null=True, blank=True)
    max_width = models.PositiveIntegerField(_("max width"), null=True, blank=True)
    max_height = models.PositiveIntegerField(_("max height"), null=True, blank=True)
    max_steps = models.PositiveIntegerField(_("max steps"), null=True, blank=True)
    max_images = models.PositiveIntegerField(_("max images per job"), null=True, blank=True)
    max_training_steps = models.PositiveIntegerField(_("max steps of a training"), null=True, blank=True)
    max_training_images = models.PositiveIntegerField(_("max images of a training"), null=True, blank=True)
    allowed_models = models.JSONField(
        _("model files"),
        default=list,
        blank=True,
        help_text=_(
            'Permitted model files as kind:name: ["checkpoint:shapes", "lora:night*"]. Of a listed kind, only the '
            'listed files may be used; "lora:" alone allows none. Kinds that are not listed are unrestricted.'
        ),
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        super().clean()
        if not isinstance(self.allowed_models, list) or not all(map(_is_model_pattern, self.allowed_models)):
            kinds = ", ".join(KINDS)
            message = _("Must be a list of kind:name, where the kind is one of: %(kinds)s.")
            raise ValidationError({"allowed_models": message % {"kinds": kinds}})

    def allows_model(self, kind: str, name: str) -> bool:
        """Whether ``allowed_models`` permits the file; its names are case-sensitive glob patterns."""
        patterns = [
            pattern.partition(":")[2] for pattern in self.allowed_models if pattern.startswith(f"{kind}:")
        ]
        return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_model_pattern(text: object) -> bool:
    return isinstance(text, str) and ":" in text and text.partition(":")[0] in KINDS
