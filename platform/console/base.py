"""What all pages of the console have in common."""

from __future__ import annotations

from typing import Any

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from access.tenancy import visible_sources


class ConsoleAdmin(ModelAdmin):
    """A user of a tenant sees the rows of its own sources, and no page whose rows belong to nobody.

    ``source_path`` leads from the model to its business source, as in a filter; empty: rows of no source.
    """

    source_path = ""
    show_full_result_count = False
    list_filter_submit = True
    list_fullwidth = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        sources = visible_sources(request.user)
        if sources is None:
            return rows
        if not self.source_path:
            return rows.none()
        # Their ids, not a subquery: of one id the database knows which index has its rows in order.
        return rows.filter(**{f"{self.source_path}__in": list(sources.values_list("pk", flat=True))})


class ReadOnly:
    """Rows that the platform writes, and nobody else."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
