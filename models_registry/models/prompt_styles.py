"""Prompt styles: named texts that are added to the prompt and the negative prompt of a request."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from models_registry.models.querysets import SharedQuerySet

PromptStyleManager = models.Manager.from_queryset(SharedQuerySet)


class PromptStyle(models.Model):
    """Named prompt and negative prompt. ``{prompt}`` marks where the text of the request is inserted."""

    PLACEHOLDER: ClassVar[str] = "{prompt}"

    name = models.CharField(_("name"), max_length=255, unique=True)
    prompt = models.TextField(
        _("prompt"),
        blank=True,
        max_length=10_000,
        help_text=_("{prompt} is replaced by the prompt of the request. Without it, this text is appended."),
    )
    negative_prompt = models.TextField(_("negative prompt"), blank=True, max_length=10_000)
    allowed_sources = models.ManyToManyField(
        "access.BusinessSource",
        blank=True,
        related_name="+",
        verbose_name=_("allowed sources"),
        help_text=_("None selected: all sources."),
    )

    objects = PromptStyleManager()

    class Meta:
        verbose_name = _("prompt style")
        verbose_name_plural = _("prompt styles")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def apply(self, prompt: str, negative_prompt: str) -> tuple[str, str]:
        """The prompt and the negative prompt of a request, combined with those of the style."""
        return self._combine(prompt, self.prompt), self._combine(negative_prompt, self.negative_prompt)

    def _combine(self, text: str, style: str) -> str:
        if self.PLACEHOLDER in style:
            return style.replace(self.PLACEHOLDER, text)
        return ", ".join(part for part in (text.strip(), style.strip()) if part)
