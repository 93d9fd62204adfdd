"""Generation parameters of a checkpoint for requests that leave them open."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from gpu_runner.protocol.catalogs import samplers as sampler_catalog

SMALLEST, LARGEST, MULTIPLE = 64, 4096, 8
MAX_STEPS, MAX_GUIDANCE, MAX_CLIP_SKIP = 500, 100, 12


def _between(lowest: float, highest: float) -> list[Any]:
    return [MinValueValidator(lowest), MaxValueValidator(highest)]


class GenerationDefaults(models.Model):
    """Empty or null fields leave the choice to the dialect."""

    default_steps = models.PositiveIntegerField(
        _("default steps"), null=True, blank=True, validators=_between(1, MAX_STEPS)
    )
    default_guidance_scale = models.FloatField(
        _("default guidance scale"), null=True, blank=True, validators=_between(0, MAX_GUIDANCE)
    )
    default_sampler = models.CharField(_("default sampler"), max_length=64, blank=True)
    default_scheduler = models.CharField(_("default scheduler"), max_length=64, blank=True)
    default_width = models.PositiveIntegerField(
        _("default width"), null=True, blank=True, validators=_between(SMALLEST, LARGEST)
    )
    default_height = models.PositiveIntegerField(
        _("default height"), null=True, blank=True, validators=_between(SMALLEST, LARGEST)
    )
    default_clip_skip = models.PositiveIntegerField(
        _("default CLIP skip"), null=True, blank=True, validators=_between(1, MAX_CLIP_SKIP)
    )
    default_negative_prompt = models.TextField(_("default negative prompt"), blank=True, max_length=10_000)
    prompt_prefix = models.CharField(
        _("prompt prefix"),
        max_length=1000,
        blank=True,
        help_text=_("Text before the prompt of every request, unless the prompt has it already."),
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        super().clean()
        errors: dict[str, Any] = {}
        if self.default_sampler and not sampler_catalog.is_sampler(self.default_sampler):
            errors["default_sampler"] = _("Unknown sampler: %(name)s") % {"name": self.default_sampler}
        if self.default_scheduler and not sampler_catalog.is_scheduler(self.default_scheduler):
            errors["default_scheduler"] = _("Unknown scheduler: %(name)s") % {"name": self.default_scheduler}
        for name in ("default_width", "default_height"):
            if (getattr(self, name) or 0) % MULTIPLE:
                errors[name] = _("Must be a multiple of %(multiple)d.") % {"multiple": MULTIPLE}
        if (self.default_width is None) != (self.default_height is None):
            errors["default_height"] = _("Width and height must both be set, or neither.")
        if "<" in self.prompt_prefix:
            errors["prompt_prefix"] = _("Must not contain tags such as <lora:name:1>.")
        if errors:
            raise ValidationError(errors)
