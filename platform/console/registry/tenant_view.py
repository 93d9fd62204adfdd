"""The registry as users of tenants see it: only files they may use, without paths and without usage by others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from access.models import BusinessSource
from access.tenancy import is_tenant
from console.admin_base.base import ConsoleAdmin

LIST_DISPLAY = ("name", "family", "size", "short_hash", "default_mark")
FIELDS = (
    "name",
    "kind",
    "family",
    "description",
    "author",
    "tags",
    "trigger_words",
    "licence",
    "commercial_use",
    "size",
    "whole_hash",
    "cost_multiplier",
    "trained_by",
    "expires_at",
)


class TenantViewMixin(ConsoleAdmin):
    def rows_of(self, sources: QuerySet[BusinessSource], rows: QuerySet[Any]) -> QuerySet[Any]:
        mine = Q(allowed_sources=None) | Q(allowed_sources__in=sources)
        allowed = self.model._default_manager.filter(mine, enabled=True).values("pk")
        return rows.filter(pk__in=allowed)

    def get_list_display(self, request: HttpRequest) -> Sequence[Any]:
        return LIST_DISPLAY if is_tenant(request.user) else super().get_list_display(request)

    def get_search_fields(self, request: HttpRequest) -> Sequence[str]:
        return ("name", "sha256") if is_tenant(request.user) else super().get_search_fields(request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[Any]:
        return FIELDS if is_tenant(request.user) else super().get_fields(request, obj)
