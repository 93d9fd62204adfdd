"""Form fields of the console that unfold leaves without what readers of screens need."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Field
from django.http import HttpRequest
from django.utils.text import capfirst
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminTextareaWidget


class LinesField(forms.CharField):
    """A list of texts, one a line. A model's name may have spaces in it."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 2})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = value if isinstance(value, list) else str(value or "").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != self.to_python(data))


class NamedChoosers(ModelAdmin):
    """The box that a chooser of rows is searched in has no label of its own."""

    class Media:
        js = ("console/choosers.js",)


class LabelledInline(TabularInline):
    """The heading of a column is no label of the fields below it."""

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.widget.attrs["aria-label"] = capfirst(str(db_field.verbose_name))
        return field
