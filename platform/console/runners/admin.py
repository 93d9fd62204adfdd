"""The runners: where they are, what they do and hold, and whether they may take work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminURLInputWidget

from console.admin_base.base import ConsoleAdmin, WholeList
from console.dashboard.live_figures import RunnerLoad
from console.dashboard.live_figures import runners as loads_of
from jobs.execution.runner_client import RunnerBusy, RunnerClient, RunnerError
from jobs.models import Runner

from . import status_cells


class RunnerForm(forms.ModelForm):
    url = forms.URLField(
        label=gettext_lazy("address"), max_length=300, assume_scheme="http", widget=UnfoldAdminURLInputWidget
    )
    new_token = forms.CharField(
        label=gettext_lazy("new token"),
        required=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("Empty: it stays as it is. A runner without one uses RUNNER_TOKEN."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():  # as those that the model makes
            field.label = capfirst(field.label)

    def save(self, commit: bool = True) -> Any:
        if token := self.cleaned_data.get("new_token"):
            self.instance.token = token
        return super().save(commit)


class RunnerList(WholeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        for load in loads_of(self.result_list):
            load.runner.load = load  # type: ignore[attr-defined]


WHERE_IT_IS = ["name", "url", "backend", "new_token"]  # whoever changes these gets jobs, and the token
DOING = ["state", "slots_taken", "models_loaded", "memory", "seen"]
TOLD = ["device", "version", "models_of_its_own", "problem"]


@admin.register(Runner)
class RunnerAdmin(ConsoleAdmin):
    form = RunnerForm
    list_display = ["name", *DOING, "device", "backend", "problem"]
    list_filter = ["enabled", "draining", "backend"]
    list_before_template = "admin/jobs/runner/live.html"
    change_form_outer_before_template = "admin/jobs/runner/buttons.html"
    fields = [*WHERE_IT_IS, "enabled", "draining", *DOING, *TOLD]
    readonly_fields = [*DOING, *TOLD]
    actions = ["drain", "pause", "resume", "unload"]

    class Media:
        js = ["console/live.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Runner]:
        return super().get_queryset(request).defer("token", "nodes")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RunnerList

    def get_readonly_fields(self, request: HttpRequest, obj: Runner | None = None) -> list[str]:
        fixed = list(super().get_readonly_fields(request, obj))
        return fixed if _may_register(request) else [*fixed, *WHERE_IT_IS[:-1]]

    def get_fields(self, request: HttpRequest, obj: Runner | None = None) -> list[str]:
        if _may_register(request):
            return self.fields
        return [name for name in self.fields if name != "new_token"]

    def get_form(
        self, request: HttpRequest, obj: Runner | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """A form's own fields are read even where they are not shown."""
        if not _may_register(request):
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("live/", view(self.live), name="jobs_runner_live"),
            path("<int:runner_id>/do/<slug:what>/", view(self.do), name="jobs_runner_do"),
            *super().get_urls(),
        ]

    def live(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponse(status_cells.every(list(loads_of(self.get_queryset(request)))))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context |= {"may_operate": self.has_change_permission(request), "operations": OPERATIONS}
        return super().render_change_form(request, context, *args, **kwargs)

    # Operating it ---------------------------------------------------------------------------------------------------

    def do(self, request: HttpRequest, runner_id: int, what: str) -> HttpResponse:
        """A button of the runner's page."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_change_permission(request):
            raise PermissionDenied
        if what not in dict(OPERATIONS):
            raise Http404
        runner = get_object_or_404(self.get_queryset(request), pk=runner_id)
        getattr(self, what)(request, self.get_queryset(request).filter(pk=runner.pk))
        return HttpResponseRedirect(reverse("admin:jobs_runner_change", args=[runner.pk]))

    @admin.action(
        description=gettext_lazy("Drain: finish what it has, take nothing new"), permissions=["change"]
    )
    def drain(self, request: HttpRequest, runners: QuerySet[Runner]) -> None:
        self._set(request, runners, "drained", draining=True)

    @admin.action(
        description=gettext_lazy("Pause: take nothing new, and count as absent"), permissions=["change"]
    )
    def pause(self, request: HttpRequest, runners: QuerySet[Runner]) -> None:
        self._set(request, runners, "paused", enabled=False)

    @admin.action(description=gettext_lazy("Resume: take work again"), permissions=["change"])
    def resume(self, request: HttpRequest, runners: QuerySet[Runner]) -> None:
        self._set(request, runners, "resumed", enabled=True, draining=False)

    @admin.action(description=gettext_lazy("Unload its models from memory"), permissions=["change"])
    def unload(self, request: HttpRequest, runners: QuerySet[Runner]) -> None:
        for runner in runners:
            level, said = _unloaded(runner)
            self.log_change(request, runner, "unload")
            self.message_user(request, f"{runner}: {said}", level)

    def _set(self, request: HttpRequest, runners: QuerySet[Runner], note: str, **fields: bool) -> None:
        for runner in runners:
            self.log_change(request, runner, note)
        self.message_user(request, _("Runners changed: %d") % runners.update(**fields))

    # Cells ----------------------------------------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("state"))
    def state(self, runner: Runner) -> SafeString | str:
        return _cell(runner, status_cells.state)

    @admin.display(description=gettext_lazy("slots"))
    def slots_taken(self, runner: Runner) -> SafeString | str:
        return _cell(runner, status_cells.slots)

    @admin.display(description=gettext_lazy("loaded models"))
    def models_loaded(self, runner: Runner) -> SafeString | str:
        return _cell(runner, status_cells.models)

    @admin.display(description=gettext_lazy("memory"))
    def memory(self, runner: Runner) -> SafeString | str:
        return _cell(runner, status_cells.memory)

    @admin.display(description=gettext_lazy("last seen"))
    def seen(self, runner: Runner) -> SafeString | str:
        return _cell(runner, status_cells.seen)

    @admin.display(description=gettext_lazy("own model files"))
    def models_of_its_own(self, runner: Runner) -> str:
        return ", ".join(runner.own_files.order_by("path").values_list("path", flat=True)) or "–"


OPERATIONS: list[tuple[str, str | Promise]] = [
    ("drain", gettext_lazy("Drain")),
    ("pause", gettext_lazy("Pause")),
    ("resume", gettext_lazy("Resume")),
    ("unload", gettext_lazy("Unload models")),
]


def _may_register(request: HttpRequest) -> bool:
    return request.user.has_perm("jobs.add_runner")


def _cell(runner: Runner, cell: Callable[[RunnerLoad], SafeString]) -> SafeString | str:
    if runner.pk is None:
        return "–"
    load = getattr(runner, "load", None) or next(loads_of([runner]))
    return cell(load)


def _unloaded(runner: Runner) -> tuple[int, str]:
    try:
        RunnerClient.of(runner).unload()
    except RunnerBusy:
        return messages.WARNING, _("it has jobs, so that their models stay; drain it first")
    except RunnerError as error:
        return messages.ERROR, _("not unloaded: %(reason)s") % {"reason": error}
    return messages.SUCCESS, _("its models are unloaded")
