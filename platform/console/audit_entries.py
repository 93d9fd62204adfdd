"""The audit trail's page."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from console.base import ConsoleAdmin, ReadOnly
from console.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, ConsoleAdmin):
    list_display = ["at", "username", "kind", "page", "object_id", "detail", "status", "address"]
    list_filter = ["kind", "status", "at"]
    search_fields = ["username__exact", "object_id__exact"]
    search_help_text = _("A user's name, or the id of what was looked at or changed, in full.")
    list_display_links = None
    ordering = ["-at"]
