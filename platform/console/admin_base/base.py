"""Base classes of the console's admin pages: tenant isolation, read-only pages and the list view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib.admin.utils import get_fields_from_path, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from unfold.views import ChangeList

from access.models import BusinessSource
from access.tenancy import is_tenant, visible_sources

from .fields import LabeledAutocomplete
from .filters import SourceFilter


class HiddenFromTenants:
    """Mixin that denies access to users of tenants, regardless of their role."""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) and not is_tenant(request.user)  # type: ignore[misc]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not is_tenant(request.user)  # type: ignore[misc]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and not is_tenant(request.user)  # type: ignore[misc]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not is_tenant(request.user)  # type: ignore[misc]


class ConsoleChangeList(ChangeList):
    """Change list that offers "Show all" only while a search or a filter is active."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class ConsoleAdmin(LabeledAutocomplete):
    """Base of all model pages. Users of tenants see only the rows of their own business sources.

    ``source_path`` is the lookup from the model to its business source, for example ``"job__source"``. If it is empty,
    the rows belong to no source and are hidden from users of tenants.
    """

    source_path = ""
    show_full_result_count = False
    list_filter_submit = True
    list_fullwidth = True

    class Media:
        css: ClassVar = {"all": ["console/pages.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConsoleChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        sources = visible_sources(request.user)
        return rows if sources is None else self.rows_of(sources, rows)

    def rows_of(self, sources: QuerySet[BusinessSource], rows: QuerySet[Any]) -> QuerySet[Any]:
        """Restrict ``rows`` to those that belong to ``sources``."""
        if not self.source_path:
            return rows.none()
        # A list of ids instead of a subquery: for one id, the planner uses the index that is sorted as the list is.
        return rows.filter(**{f"{self.source_path}__in": list(sources.values_list("pk", flat=True))})

    def has_add_permission(self, request: HttpRequest) -> bool:
        # Forms list the sources of all tenants; rows of a tenant are created by its requests.
        return super().has_add_permission(request) and not is_tenant(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # Rows without a source are shared by all tenants.
        may = super().has_change_permission(request, obj)
        return may and (bool(self.source_path) or not is_tenant(request.user))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not is_tenant(request.user)

    def get_list_filter(self, request: HttpRequest) -> Sequence[Any]:
        """For users of tenants: only their own sources, and no filter whose choices are rows of other models."""
        filters = super().get_list_filter(request)
        if not is_tenant(request.user):
            return filters
        return [kept for kept in map(self._tenant_filter, filters) if kept is not None]

    def _tenant_filter(self, filter_: Any) -> Any:
        if callable(filter_):
            return filter_
        name = filter_ if isinstance(filter_, str) else filter_[0]
        field = get_fields_from_path(self.model, name)[-1]
        if not field.is_relation:
            return filter_
        return (name, SourceFilter) if field.related_model is BusinessSource else None


def visible_object(page: ConsoleAdmin, request: HttpRequest, object_id: str) -> Any:
    """The object with this primary key, as quoted in admin URLs.

    Raises Http404 if it does not exist or belongs to another tenant, and PermissionDenied without view permission.
    """
    obj = page.get_object(request, unquote(object_id))
    if obj is None:
        raise Http404
    if not page.has_view_permission(request, obj):
        raise PermissionDenied
    return obj


class ReadOnly:
    """Mixin for models that only the platform writes: no add, change or delete in the console."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
