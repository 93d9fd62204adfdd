"""Base classes of the console's admin pages: tenant isolation, read-only pages and the list view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import get_fields_from_path, unquote
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.db.models import JSONField, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from unfold.views import ChangeList

from access.models import BusinessSource
from access.tenancy import is_tenant, visible_sources

from .fields import IndentedJSONField, JSONWidget, LabeledAutocomplete
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


class TenantRestrictions:
    """Mixin of model pages and inlines: users of tenants change only ``tenant_fields``, whatever their role.

    All other fields are read-only for them, so that a new field is refused until it is listed. They neither add nor
    delete rows: forms list the sources of all tenants, and the rows of a tenant are created by its requests.
    """

    tenant_fields: ClassVar[Sequence[str]] = ()

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str]:
        read_only: Sequence[str] = super().get_readonly_fields(request, obj)  # type: ignore[misc]
        if not is_tenant(request.user):
            return read_only
        return [*read_only, *(name for name in self._form_fields() if name not in read_only)]

    def _form_fields(self) -> list[str]:
        """Fields that a form of this page could contain, without ``tenant_fields``."""
        meta = self.opts  # type: ignore[attr-defined]
        stored = [field.name for field in [*meta.fields, *meta.many_to_many] if field.editable]
        declared = getattr(self.form, "declared_fields", {})  # type: ignore[attr-defined]
        return [name for name in dict.fromkeys([*stored, *declared]) if name not in self.tenant_fields]

    def has_add_permission(self, request: HttpRequest, *obj: Any) -> bool:
        return super().has_add_permission(request, *obj) and not is_tenant(request.user)  # type: ignore[misc]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        may: bool = super().has_change_permission(request, obj)  # type: ignore[misc]
        return may and (bool(self.tenant_fields) or not is_tenant(request.user))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not is_tenant(request.user)  # type: ignore[misc]


class ConsoleChangeList(ChangeList):
    """Change list that offers "Show all" only while a search or a filter is active."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class ConsoleAdmin(TenantRestrictions, LabeledAutocomplete):
    """Base of all model pages. Users of tenants see only the rows of their own business sources.

    ``source_path`` is the lookup from the model to its business source, for example ``"job__source"``. If it is empty,
    the rows belong to no source and are hidden from users of tenants.
    """

    source_path = ""
    empty_value_display = "–"  # as the cells that the pages render themselves
    formfield_overrides: ClassVar = {JSONField: {"form_class": IndentedJSONField, "widget": JSONWidget}}
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

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Run an action of the list. Raises BadRequest for selected rows whose id has the wrong format."""
        for text in request.POST.getlist(ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.run_validators(self.opts.pk.to_python(text))
            except ValidationError as error:
                raise BadRequest(f"invalid id: {text[:100]!r}") from error
        return super().response_action(request, queryset)

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
