"""What the operator's text model does with the prompts of a source, before they are admitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _


class PromptMode(models.TextChoices):
    AS_IS = "as_is", _("as they are")
    TRANSLATE = "translate", _("translated to English")
    EXPAND = "expand", _("translated and expanded with details")


class PromptModes(models.Model):
    """Settings of a source. A request may choose another mode, in dialects that have a field for it."""

    text_model = models.BooleanField(
        _("text model"),
        default=True,
        help_text=_("Prompts of this source may be sent to the text model (TEXT_MODEL_URL)."),
    )
    prompt_mode = models.CharField(
        _("prompts"),
        max_length=16,
        choices=PromptMode,
        default=PromptMode.AS_IS,
        help_text=_("What the text model does with prompts, unless a request says otherwise."),
    )
    prompt_modes = models.JSONField(
        _("prompts by dialect"),
        default=dict,
        blank=True,
        help_text=_('Exceptions: {"a1111": "translate", "native": "as_is"}.'),
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        super().clean()
        if not isinstance(self.prompt_modes, dict) or not all(map(_is_mode, self.prompt_modes.values())):
            values = {"modes": ", ".join(PromptMode.values)}
            message = _("Must be an object of dialects and modes. Modes: %(modes)s.") % values
            raise ValidationError({"prompt_modes": message})

    def prompt_mode_of(self, dialect: str) -> PromptMode:
        """The mode of requests in a dialect that do not choose one."""
        modes: Mapping[str, Any] = self.prompt_modes if isinstance(self.prompt_modes, dict) else {}
        mode = modes.get(dialect, self.prompt_mode)
        return PromptMode(mode) if _is_mode(mode) else PromptMode.AS_IS


def _is_mode(value: object) -> bool:
    return isinstance(value, str) and value in PromptMode.values
