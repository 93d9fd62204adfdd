"""What all pages of the console have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib.admin.utils import get_fields_from_path
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

from access.models import BusinessSource
from access.tenancy import is_tenant, visible_sources

from .fields import NamedChoosers
from .filters import SourceFilter


class HiddenFromTenants:
    """Pages that no tenant's user sees, whatever its role."""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) and not is_tenant(request.user)  # type: ignore[misc]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not is_tenant(request.user)  # type: ignore[misc]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and not is_tenant(request.user)  # type: ignore[misc]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not is_tenant(request.user)  # type: ignore[misc]


class WholeList(ChangeList):
    """A list that nothing narrows is all there is: its page need not offer to show all."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class ConsoleAdmin(NamedChoosers):
    """A user of a tenant sees the rows of its own sources, and no page whose rows belong to nobody.

    ``source_path`` leads from the model to its business source, as in a filter; empty: rows of no source.
    """

    source_path = ""
    show_full_result_count = False
    list_filter_submit = True
    list_fullwidth = True

    class Media:
        css: ClassVar = {"all": ["console/pages.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WholeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        sources = visible_sources(request.user)
        return rows if sources is None else self.rows_of(sources, rows)

    def rows_of(self, sources: QuerySet[BusinessSource], rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those that a tenant with these sources may see."""
        if not self.source_path:
            return rows.none()
        # Their ids, not a subquery: of one id the database knows which index has its rows in order.
        return rows.filter(**{f"{self.source_path}__in": list(sources.values_list("pk", flat=True))})

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A form offers every source; a tenant's rows come by its requests."""
        return super().has_add_permission(request) and not is_tenant(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What belongs to no source is everybody's."""
        may = super().has_change_permission(request, obj)
        return may and (bool(self.source_path) or not is_tenant(request.user))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not is_tenant(request.user)

    def get_list_filter(self, request: HttpRequest) -> Sequence[Any]:
        """A tenant chooses among its own sources, and among nothing else that has rows of its own."""
        filters = super().get_list_filter(request)
        if not is_tenant(request.user):
            return filters
        return [kept for kept in map(self._for_a_tenant, filters) if kept is not None]

    def _for_a_tenant(self, filter_: Any) -> Any:
        if callable(filter_):
            return filter_
        name = filter_ if isinstance(filter_, str) else filter_[0]
        field = get_fields_from_path(self.model, name)[-1]
        if not field.is_relation:
            return filter_
        return (name, SourceFilter) if field.related_model is BusinessSource else None


class ReadOnly:
    """Rows that the platform writes, and nobody else."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
