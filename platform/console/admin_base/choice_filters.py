"""List filters for large tables: the choices are known in advance, not read with SELECT DISTINCT from the table."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter

from access.models import BusinessSource
from access.tenancy import visible_sources

Choice = tuple[Any, Any]


class ChoiceFilter(DropdownFilter):
    """Filter by one of the values that ``lookups`` returns. Any other value gives an empty list."""

    field = ""

    def has_output(self) -> bool:
        return True  # show the filter even if it has no choices yet, so that the page does not change

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return rows
        return self.filter_rows(rows, value) if self._is_choice(value) else rows.none()

    def filter_rows(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(**{self.field: value})

    def _is_choice(self, value: str) -> bool:
        return any(str(choice) == value for choice, _label in self.lookup_choices)


class SourceChoiceFilter(ChoiceFilter):
    """Business sources that the user may see."""

    title, parameter_name, field = _("business source"), "source", "source"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[Choice]:
        visible = visible_sources(request.user)
        sources = BusinessSource.objects.all() if visible is None else visible
        return [(source.pk, str(source)) for source in sources.only("name", "title").distinct()]
