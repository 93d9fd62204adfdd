"""Words for prompts, kept under a name."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from models_registry.querysets import SharedQuerySet

PromptStyleManager = models.Manager.from_queryset(SharedQuerySet)


class PromptStyle(models.Model):
    """Words that a request asks for by a name. ``{prompt}`` in them is where the request's own words go."""

    PLACE: ClassVar[str] = "{prompt}"

    name = models.CharField(_("name"), max_length=255, unique=True)
    prompt = models.TextField(
        _("prompt"),
        blank=True,
        max_length=10_000,
        help_text=_("{prompt} stands for the request's own prompt; without it this is appended."),
    )
    negative_prompt = models.TextField(_("negative prompt"), blank=True, max_length=10_000)
    allowed_sources = models.ManyToManyField(
        "access.BusinessSource",
        blank=True,
        related_name="+",
        verbose_name=_("allowed sources"),
        help_text=_("None: every source."),
    )

    objects = PromptStyleManager()

    class Meta:
        verbose_name = _("prompt style")
        verbose_name_plural = _("prompt styles")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def apply(self, prompt: str, negative_prompt: str) -> tuple[str, str]:
        """The request's words with this style's."""
        return self._around(prompt, self.prompt), self._around(negative_prompt, self.negative_prompt)

    def _around(self, text: str, style: str) -> str:
        if self.PLACE in style:
            return style.replace(self.PLACE, text)
        return ", ".join(part for part in (text.strip(), style.strip()) if part)
