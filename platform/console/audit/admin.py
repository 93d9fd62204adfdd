"""Admin page of the audit trail."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from console.admin_base.base import ConsoleAdmin, ReadOnly
from console.admin_base.keyset_pagination import KeysetChangeList
from console.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, ConsoleAdmin):
    list_display = ["created_at", "username", "kind", "where", "what", "detail", "status", "address"]
    list_filter = ["kind", "status", "created_at"]
    list_per_page = 50
    sortable_by = ()
    show_facets = ShowFacets.NEVER
    search_fields = ["username__exact", "object_id__exact"]
    search_help_text = _("Exact username or object id")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    @display(description=_("page"))
    def where(self, entry: AuditEntry) -> str:
        """Plural name of the model, as in the menu, and the view; the URL name for pages that belong to no model."""
        model, rest = _model_and_rest(entry.page)
        if model is None:
            return entry.page or "–"
        name = capfirst(str(model._meta.verbose_name_plural))
        return name if rest in ("change", "changelist") else f"{name} · {rest}"

    @display(description=_("object"))
    def what(self, entry: AuditEntry) -> SafeString | str:
        model, _rest = _model_and_rest(entry.page)
        if model is None or not entry.object_id:
            return entry.object_id or "–"
        meta = model._meta
        url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[entry.object_id])
        return format_html('<a class="text-link" href="{}">{}</a>', url, entry.object_id)


def _model_and_rest(page: str) -> tuple[type[Model] | None, str]:
    """Split a URL name such as ``jobs_job_change`` into the model and the view (``change``)."""
    for model in filter(admin.site.is_registered, apps.get_models()):
        prefix = f"{model._meta.app_label}_{model._meta.model_name}_"
        if page.startswith(prefix):
            return model, page.removeprefix(prefix)
    return None, page
