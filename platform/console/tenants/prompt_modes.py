"""Form field for the prompt modes of a source by dialect: text with one ``dialect: mode`` per line."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextareaWidget

from access.installed_dialects import installed
from access.source_settings.prompt_modes import PromptMode

PROMPTS = (
    gettext_lazy("Prompts and the text model"),
    {
        "description": gettext_lazy(
            "The text model is set by TEXT_MODEL_URL, see docs/text-model.md. What was written is shown on the page of "
            "the job."
        ),
        "fields": [("prompt_mode", "text_model"), "prompt_modes"],
    },
)


class PromptModesField(forms.CharField):
    """Modes by dialect. Raises ValidationError for unknown dialects and modes."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 2})

    def __init__(self) -> None:
        super().__init__(
            label=gettext_lazy("prompts by dialect"),
            required=False,
            max_length=2000,
            help_text=gettext_lazy(
                "Exceptions, one dialect: mode per line, e.g. a1111: translate. Modes: as_is, translate, expand."
            ),
        )

    def prepare_value(self, value: Any) -> Any:
        return (
            "\n".join(f"{name}: {mode}" for name, mode in value.items()) if isinstance(value, dict) else value
        )

    def clean(self, value: Any) -> dict[str, str]:
        text = super().clean(value)
        pairs = [line.partition(":") for line in text.splitlines() if line.strip()]
        modes = {dialect.strip(): mode.strip() for dialect, _colon, mode in pairs}
        for dialect, mode in modes.items():
            if dialect not in installed() or mode not in PromptMode.values:
                values = {
                    "text": f"{dialect}: {mode}"[:100],
                    "dialects": ", ".join(sorted(installed())),
                    "modes": ", ".join(PromptMode.values),
                }
                message = _(
                    "%(text)s must have the form dialect: mode. Dialects: %(dialects)s. Modes: %(modes)s."
                )
                raise ValidationError(message % values)
        return modes

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return (initial or {}) != self.clean(data)
        except ValidationError:
            return True
