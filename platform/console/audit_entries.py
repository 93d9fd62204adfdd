"""The audit trail's page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.base import ConsoleAdmin, ReadOnly
from console.keyset import KeysetChangeList
from console.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, ConsoleAdmin):
    list_display = ["created_at", "username", "kind", "page", "object_id", "detail", "status", "address"]
    list_filter = ["kind", "status", "created_at"]
    list_per_page = 50
    sortable_by = ()
    show_facets = ShowFacets.NEVER
    search_fields = ["username__exact", "object_id__exact"]
    search_help_text = _("A user's name, or the id of what was looked at or changed, in full.")
    list_display_links = None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList
