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
from jobs.execution.runner_client import RunnerClient, RunnerError
from jobs.models import Backend, Runner
from models_registry.models import WorkflowRule, WorkflowTemplate

COST = [
    "cost_steps",
    "cost_megapixels",
    "cost_factor",
    "cost_per_second",
    "cost_max_seconds",
    "cached_share",
]
MAX_PROBLEMS_SHOWN = 5  # per template and runner


class WorkflowRuleInline(TenantRestrictions, TabularInline):
    model = WorkflowRule
    extra = 0


@admin.register(WorkflowTemplate)
class WorkflowTemplateAdmin(ConsoleAdmin):
    inlines = [WorkflowRuleInline]
    list_display = ["name", "purpose", "enabled"]
    list_filter = ["enabled", "purpose"]
    search_fields = ["name"]
    fieldsets = [
        (None, {"fields": ["name", "enabled", "purpose", "graph", "slots", "without_slot", "if_asked"]}),
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
        runners = Runner.objects.filter(enabled=True, backend=Backend.COMFYUI)
        for runner in runners:
            level, result = _check_result(template, runner)
            values = {"template": template, "runner": runner, "result": result}
            self.message_user(request, _("%(template)s on %(runner)s: %(result)s") % values, level)


def _check_result(template: WorkflowTemplate, runner: Runner) -> tuple[int, str]:
    try:
        problems = RunnerClient.of(runner).workflow_problems(template.workflow()).problems
    except (RunnerError, ValueError) as error:
        return messages.WARNING, _("not checked: %(reason)s") % {"reason": error}
    if not problems:
        return messages.SUCCESS, _("compatible")
    return messages.ERROR, "; ".join(problems[:MAX_PROBLEMS_SHOWN])
