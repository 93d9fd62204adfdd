"""Admin of runners: registration, current load and loaded models, and the actions drain, pause, resume and unload."""

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

from console.admin_base.base import ConsoleAdmin, ConsoleChangeList
from console.dashboard.live_figures import RunnerLoad, runner_loads
from jobs.execution import back_off
from jobs.execution.runner_client import RunnerBusy, RunnerClient, RunnerError
from jobs.execution.runner_monitor import look_at
from jobs.models import Backend, Runner

from . import status_cells


class RunnerForm(forms.ModelForm):
    url = forms.URLField(
        label=gettext_lazy("address"), max_length=300, assume_scheme="http", widget=UnfoldAdminURLInputWidget
    )
    new_token = forms.CharField(
        label=gettext_lazy("new token"),
        required=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("Empty: unchanged. Runners without a token use RUNNER_TOKEN."),
    )

    new_server_secret = forms.CharField(
        label=gettext_lazy("new ComfyUI secret"),
        required=False,
        max_length=4000,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy(
            "Empty: unchanged. For user and password: user:password. Encrypted in the database."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():  # capitalized, as model forms do for their own fields
            field.label = capfirst(field.label)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if secret := cleaned.get("new_server_secret"):
            self.instance.server_secret = secret
        if cleaned.get("server_scheme") and not self.instance.server_secret:
            self.add_error("new_server_secret", gettext_lazy("This authentication needs a secret."))
        return cleaned

    def save(self, commit: bool = True) -> Any:
        if token := self.cleaned_data.get("new_token"):
            self.instance.token = token
        return super().save(commit)


class RunnerChangeList(ConsoleChangeList):
    """Change list that attaches the load to each runner."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        for load in runner_loads(self.result_list):
            load.runner.load = load  # type: ignore[attr-defined]


CONNECTION = [
    "name",
    "url",
    "backend",
    "new_token",
    "server_scheme",
    "new_server_secret",
    "server_ca",
]  # changing these redirects jobs and the token to another server
STATUS = ["state", "slots_taken", "models_loaded", "memory", "server_queue", "seen"]
SECRETS = ["new_token", "new_server_secret"]
REPORTED = [
    "device",
    "version",
    "own_model_files",
    "backs_off_from",
    "problem",
    "hand_over_lost_at",
    "process_replaced_at",
]
# What only runners of ComfyUI servers have.
OF_COMFYUI_SERVERS = {"server_scheme", "new_server_secret", "server_ca"}
REPORTED_BY_COMFYUI_SERVERS = {"server_queue", "own_model_files", "backs_off_from"}
# "typeof": users who may not register runners see the backend as text, which is no variable of the form.
IS_COMFYUI = f"typeof backend === 'undefined' || backend == '{Backend.COMFYUI}'"


@admin.register(Runner)
class RunnerAdmin(ConsoleAdmin):
    form = RunnerForm
    list_display = ["name", *STATUS, "device", "backend", "problem"]
    list_filter = ["enabled", "draining", "backend"]
    list_before_template = "admin/jobs/runner/live.html"
    change_form_outer_before_template = "admin/jobs/runner/buttons.html"
    fields = [*CONNECTION, "enabled", "draining", *STATUS, *REPORTED]
    readonly_fields = [*STATUS, *REPORTED]
    conditional_fields = dict.fromkeys(OF_COMFYUI_SERVERS, IS_COMFYUI)
    actions = ["drain", "pause", "resume", "unload", "read_inventory"]

    class Media:
        js = ["console/live.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Runner]:
        return super().get_queryset(request).defer("token", "server_secret", "nodes", "file_lists")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RunnerChangeList

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        read_only = list(super().get_readonly_fields(request, obj))
        shown = [name for name in CONNECTION if name not in SECRETS]
        return read_only if _may_register(request) else [*read_only, *shown]

    def get_fields(self, request: HttpRequest, obj: Runner | None = None) -> list[str]:
        if obj is None:
            return [*CONNECTION, "enabled"]
        hidden = set() if _may_register(request) else set(SECRETS)
        if obj.backend != Backend.COMFYUI:
            hidden |= REPORTED_BY_COMFYUI_SERVERS
            hidden |= set() if _may_register(request) else OF_COMFYUI_SERVERS
        return [name for name in self.fields if name not in hidden]

    def get_form(
        self, request: HttpRequest, obj: Runner | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        # RunnerForm would accept its declared fields even when they are not displayed.
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
        return HttpResponse(status_cells.all_cells(list(runner_loads(self.get_queryset(request)))))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        runner = context.get("original")
        operations = [each for each in OPERATIONS if runner is None or _can(runner, each[0])]
        context |= {"may_operate": self.has_change_permission(request), "operations": operations}
        return super().render_change_form(request, context, *args, **kwargs)

    # Actions --------------------------------------------------------------------------------------------------------

    def do(self, request: HttpRequest, runner_id: int, what: str) -> HttpResponse:
        """Perform the action of a button on the runner's page."""
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
        description=gettext_lazy("Drain: finish running jobs, start no new ones"), permissions=["change"]
    )
    def drain(self, request: HttpRequest, runners: QuerySet[Runner]) -> None:
        self._set(request, runners, "drained", draining=True)

    @admin.action(
        description=gettext_lazy("Pause: start no new jobs, and count as unavailable"), permissions=["change"]
    )
    def pause(self, request: HttpRequest, runners: QuerySet[Runner]) -> None:
        self._set(request, runners, "paused", enabled=False)

    @admin.action(description=gettext_lazy("Resume: accept jobs again"), permissions=["change"])
    def resume(self, request: HttpRequest, runners: QuerySet[Runner]) -> None:
        self._set(request, runners, "resumed", enabled=True, draining=False)

    @admin.action(description=gettext_lazy("Unload models from memory"), permissions=["change"])
    def unload(self, request: HttpRequest, runners: QuerySet[Runner]) -> None:
        for runner in runners:
            level, message = _unload(runner)
            self.log_change(request, runner, "unload")
            self.message_user(request, f"{runner}: {message}", level)

    @admin.action(
        description=gettext_lazy("Read the inventory of the ComfyUI server again"), permissions=["change"]
    )
    def read_inventory(self, request: HttpRequest, runners: QuerySet[Runner]) -> None:
        for runner in runners:
            level, message = _read_inventory(runner)
            self.log_change(request, runner, "read inventory")
            self.message_user(request, f"{runner}: {message}", level)

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

    @admin.display(description=gettext_lazy("queue of the server"))
    def server_queue(self, runner: Runner) -> SafeString | str:
        return _cell(runner, status_cells.queue)

    @admin.display(description=gettext_lazy("last seen"))
    def seen(self, runner: Runner) -> SafeString | str:
        return _cell(runner, status_cells.seen)

    @admin.display(description=gettext_lazy("own model files"))
    def own_model_files(self, runner: Runner) -> str:
        return ", ".join(runner.own_files.order_by("path").values_list("path", flat=True)) or "–"

    @admin.display(description=gettext_lazy("backs off from"))
    def backs_off_from(self, runner: Runner) -> str:
        """Workflow templates that failed on the server lately, each with the last reason."""
        rows = back_off.active(runner).select_related("template").defer("template__graph")
        return "; ".join(f"{row.template}: {row.reason}" for row in rows) or "–"


OPERATIONS: list[tuple[str, str | Promise]] = [
    ("drain", gettext_lazy("Drain")),
    ("pause", gettext_lazy("Pause")),
    ("resume", gettext_lazy("Resume")),
    ("unload", gettext_lazy("Unload models")),
    ("read_inventory", gettext_lazy("Read inventory")),
]


def _can(runner: Runner, operation: str) -> bool:
    return operation != "read_inventory" or runner.backend == Backend.COMFYUI


def _may_register(request: HttpRequest) -> bool:
    return request.user.has_perm("jobs.add_runner")


def _cell(runner: Runner, cell: Callable[[RunnerLoad], SafeString]) -> SafeString | str:
    if runner.pk is None:
        return "–"
    load = getattr(runner, "load", None) or next(runner_loads([runner]))
    return cell(load)


def _read_inventory(runner: Runner) -> tuple[int, str]:
    """Have the adapter read the inventory; return a message level and the message."""
    if runner.backend != Backend.COMFYUI:
        return messages.WARNING, _("only ComfyUI runners have an inventory")
    try:
        RunnerClient.of(runner).refresh_inventory()
    except RunnerError as error:
        return messages.ERROR, _("not read: %(reason)s") % {"reason": error}
    return messages.SUCCESS, _("the inventory is being read")


def _unload(runner: Runner) -> tuple[int, str]:
    """Unload the runner's models; return a message level and the message."""
    try:
        RunnerClient.of(runner).unload()
    except RunnerBusy:
        return messages.WARNING, _("models in use by running jobs are not unloaded; drain the runner first")
    except RunnerError as error:
        return messages.ERROR, _("not unloaded: %(reason)s") % {"reason": error}
    look_at(runner)  # so that the page does not list the former models until the next poll
    runner.refresh_from_db(fields=["loaded"])
    if runner.loaded:
        return messages.WARNING, _("models that are still in memory: %(count)d") % {
            "count": len(runner.loaded)
        }
    return messages.SUCCESS, _("models unloaded")
