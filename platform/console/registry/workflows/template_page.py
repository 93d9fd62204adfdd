"""What the page of a workflow template shows above its form: the drawn graph, the servers, and the trial."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from console.admin_base.base import ConsoleAdmin
from console.admin_base.job_watch import watched_job
from console.registry.permissions import check, may
from jobs.errors import Refused
from jobs.sample_renders import workflow_trials
from models_registry.models import WorkflowTemplate

from .drawing import WIDTH, drawn
from .fleet_check import remembered


class TemplatePageMixin(ConsoleAdmin):
    change_form_outer_before_template = "admin/models_registry/workflow_overview.html"
    list_before_template = "admin/models_registry/workflow_import.html"

    def get_urls(self) -> list[URLPattern]:
        trial = self.admin_site.admin_view(self.try_template)
        name = "models_registry_workflowtemplate_try"
        return [path("<int:template_id>/try/", trial, name=name), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        template = self.get_object(request, object_id)
        context = self._overview(request, template) if template else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def try_template(self, request: HttpRequest, template_id: int) -> HttpResponse:
        """Submit a trial job. It is shown on the page of the template."""
        check(request, self, "change")
        template = get_object_or_404(self.get_queryset(request), pk=template_id)
        prompt = request.POST.get("prompt", "").replace("\0", "").strip() or workflow_trials.PROMPT
        try:
            template.workflow()
            job = workflow_trials.submit_trial(template, prompt, by=f"console: {request.user.get_username()}")
            self.log_change(request, template, f"tried: {job.pk}")
        except Refused as refused:
            self.message_user(request, refused.message, messages.ERROR)
        except ValueError as error:
            self.message_user(request, str(error), messages.ERROR)
        page = reverse("admin:models_registry_workflowtemplate_change", args=[template_id])
        return HttpResponseRedirect(page)

    def _overview(self, request: HttpRequest, template: WorkflowTemplate) -> dict[str, Any]:
        try:
            drawing, fits = drawn(template.workflow()), remembered(template)
        except ValueError:  # saved by an older version; saving it again reports the reason
            return {}
        trial = workflow_trials.newest_trial(template)
        return {
            "drawing": drawing,
            "node_width": WIDTH,
            "fits": fits,
            "may_try": may(request, self, "change"),
            "trial": watched_job(trial) if trial else None,
            "trial_prompt": trial.received.get("prompt", "") if trial else workflow_trials.PROMPT,
        }
