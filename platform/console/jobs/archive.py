"""Admin of archived jobs: read-only, found by job id or external id."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.admin_base.base import ConsoleAdmin, ReadOnly
from console.admin_base.filters import SourceFilter
from console.admin_base.keyset_pagination import KeysetChangeList
from jobs.models.archive import ArchivedJob


@admin.register(ArchivedJob)
class ArchivedJobAdmin(ReadOnly, ConsoleAdmin):
    source_path = "source"
    list_display = ["id", "source", "dialect", "state", "error_code", "cost", "created_at", "finished_at"]
    list_filter = [("source", SourceFilter)]
    list_select_related = ["source"]
    list_per_page = 50
    sortable_by = ()
    show_facets = ShowFacets.NEVER
    search_fields = ["id__exact", "external_id__startswith"]
    search_help_text = _("Job id or external id")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[ArchivedJob]:
        return super().get_queryset(request).defer("record")
