"""Admin of workflow templates. A template is validated when it is saved, and then checked on the ComfyUI runners."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline

from console.admin_base.base import ConsoleAdmin, TenantRestrictions
from models_registry.models import WorkflowRule, WorkflowTemplate

from .fleet_check import asked
from .import_page import ImportMixin
from .template_page import TemplatePageMixin

FIELDS = ["name", "enabled", "purpose", "output", "graph", "slots", "without_slot", "if_asked"]
COST = [
    "cost_steps",
    "cost_megapixels",
    "cost_frames",
    "cost_factor",
    "cost_per_second",
    "cost_max_seconds",
    "cached_share",
]
LEVELS = {True: messages.SUCCESS, False: messages.ERROR, None: messages.WARNING}


class WorkflowRuleInline(TenantRestrictions, TabularInline):
    model = WorkflowRule
    extra = 0


@admin.register(WorkflowTemplate)
class WorkflowTemplateAdmin(ImportMixin, TemplatePageMixin, ConsoleAdmin):
    inlines = [WorkflowRuleInline]
    list_display = ["name", "purpose", "output", "enabled"]
    list_filter = ["enabled", "purpose", "output"]
    search_fields = ["name"]
    fieldsets = [
        (None, {"fields": FIELDS}),
        (gettext_lazy("Cost"), {"fields": COST}),
    ]
    actions = ["check_on_runners"]
    save_as = True

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        self._check(request, form.instance)

    @admin.action(
        description=gettext_lazy("Check the selected templates on the ComfyUI runners"), permissions=["view"]
    )
    def check_on_runners(self, request: HttpRequest, templates: QuerySet[WorkflowTemplate]) -> None:
        for template in templates:
            self._check(request, template)

    def _check(self, request: HttpRequest, template: WorkflowTemplate) -> None:
        """Report the problems that each ComfyUI runner finds. The template is saved anyway: runners may differ."""
        for fit in asked(template):
            values = {"template": template, "runner": fit.runner, "result": fit.text}
            self.message_user(request, _("%(template)s on %(runner)s: %(result)s") % values, LEVELS[fit.fits])
