"""Form fields of the console: lists of text, and labels that screen readers need and unfold leaves out."""

from __future__ import annotations

import json
import re
from typing import Any

from django import forms
from django.db.models import Field
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest
from django.utils.text import capfirst
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget


class LinesField(forms.CharField):
    """List of strings, one per line. Lines are not split further, since names of models may contain spaces."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 2})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = value if isinstance(value, list) else str(value or "").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != self.to_python(data))


class IndentedJSONField(forms.JSONField):
    """JSON that is shown indented, in letters of one width, in its own alphabet."""

    def prepare_value(self, value: Any) -> Any:
        if value is None:
            return ""
        if isinstance(value, InvalidJSONInput):
            return value
        return json.dumps(value, indent=2, ensure_ascii=False, cls=self.encoder)


class JSONWidget(UnfoldAdminTextareaWidget):
    def __init__(self, attrs: Any = None) -> None:
        super().__init__({"rows": 16, "spellcheck": "false", "autocapitalize": "off", **(attrs or {})})
        self.attrs["class"] += " at-json"


class WordsField(LinesField):
    """List of words, separated by commas."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        words = value if isinstance(value, list) else re.split(r"[,，\n]", str(value or ""))
        return list(dict.fromkeys(word.strip() for word in words if word.strip()))


class LabeledAutocomplete(ModelAdmin):
    """Gives the search boxes of autocomplete fields the label of their field (``aria-label``)."""

    class Media:
        js = ("console/choosers.js",)


class LabeledInline(TabularInline):
    """Tabular inline whose fields have an ``aria-label``: the table heading does not label the inputs of a column."""

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.widget.attrs["aria-label"] = capfirst(str(db_field.verbose_name))
        return field
