"""Admin of the log of images without a visible label: read-only."""

from __future__ import annotations

from django.contrib import admin

from console.admin_base.base import ConsoleAdmin, ReadOnly
from console.admin_base.filters import SourceFilter
from jobs.models import UnlabeledImages


@admin.register(UnlabeledImages)
class UnlabeledImagesAdmin(ReadOnly, ConsoleAdmin):
    source_path = "source"
    list_display = ["created_at", "source", "key_id", "end_user", "images", "dialect", "consent_on", "job_id"]
    list_filter = [("source", SourceFilter)]
    list_select_related = ["source"]
    list_per_page = 50
    search_fields = ["key_id__startswith", "end_user__startswith"]
