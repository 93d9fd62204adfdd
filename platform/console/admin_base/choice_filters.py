"""Filters of lists of very many rows: one of a few known values, none of which is looked up in those rows."""

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


class OneOf(DropdownFilter):
    """A value that is not among the choices, its ``lookups``, narrows to nothing."""

    field = ""

    def has_output(self) -> bool:
        return True  # also where nothing can be chosen yet: the list looks the same every day

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        wanted = self.value()
        if not wanted:
            return rows
        return self.narrowed(rows, wanted) if self._is_choice(wanted) else rows.none()

    def narrowed(self, rows: QuerySet[Any], wanted: str) -> QuerySet[Any]:
        return rows.filter(**{self.field: wanted})

    def _is_choice(self, wanted: str) -> bool:
        return any(str(value) == wanted for value, _label in self.lookup_choices)


class SourceFilter(OneOf):
    """Those that the user may see."""

    title, parameter_name, field = _("business source"), "source", "source"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[Choice]:
        visible = visible_sources(request.user)
        sources = BusinessSource.objects.all() if visible is None else visible
        return [(source.pk, str(source)) for source in sources.only("name", "title").distinct()]
