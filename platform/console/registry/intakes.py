"""Models that are loaded from URLs: the list of requests with their outcome, and the page on which operators add one."""

from __future__ import annotations

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from access.internal_source import internal_source
from access.models import BusinessSource
from access.tenancy import is_tenant
from console.admin_base.action_form import ActionForm, action_page
from console.admin_base.base import ConsoleAdmin, ReadOnly
from jobs.errors import Refused
from jobs.model_intake.submission import KINDS, MAX_NAME, IntakeRequest, submit
from jobs.model_intake.worker import cancel
from jobs.models import IntakeState, ModelIntake
from jobs.outbound.policy import MAX_URL
from models_registry.models import Kind

from .permissions import may

DIALECT = "console"
BADGES = {IntakeState.READY: "at-ready", IntakeState.FAILED: "at-problem"}
MAX_LIVE = 100  # newest intakes whose cells the list refreshes


class IntakeForm(ActionForm):
    url = forms.CharField(
        label=gettext_lazy("address"),
        max_length=MAX_URL,
        help_text=gettext_lazy("URL of the file itself: .safetensors, or a file that torch wrote."),
        widget=UnfoldAdminTextInputWidget,
    )
    name = forms.CharField(
        label=gettext_lazy("name"),
        max_length=MAX_NAME,
        help_text=gettext_lazy("Name in requests, without the ending."),
        widget=UnfoldAdminTextInputWidget,
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("kind"),
        required=False,
        choices=[("", gettext_lazy("as detected")), *((kind, Kind(kind).label) for kind in KINDS)],
        widget=UnfoldAdminSelectWidget,
    )
    source = forms.ModelChoiceField(
        label=gettext_lazy("business source"),
        required=False,
        queryset=BusinessSource.objects.all(),
        empty_label=gettext_lazy("all sources"),
        help_text=gettext_lazy("The only source that may use the model."),
        widget=UnfoldAdminSelectWidget,
    )

    def request(self, user: str) -> IntakeRequest:
        values = self.cleaned_data
        source = values["source"]
        return IntakeRequest(
            source=source or internal_source(),
            key=None,
            requested_by=f"console: {user}",
            dialect=DIALECT,
            url=values["url"],
            name=values["name"],
            kind=values["kind"],
            is_shared=source is None,
        )


class LoadFromUrlMixin(ConsoleAdmin):
    """Page of a list of model files on which an operator gives the URL of a new one."""

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_load"
        return [path("load/", self.admin_site.admin_view(self.load_page), name=name), *super().get_urls()]

    def load_page(self, request: HttpRequest) -> HttpResponse:
        if not may(request, self, "add"):
            raise PermissionDenied
        initial = {"kind": getattr(self.model, "KIND", "")}
        form = IntakeForm(request.POST if request.method == "POST" else None, initial=initial)
        if form.is_valid():
            try:
                intake = submit(form.request(request.user.get_username()))
            except Refused as refused:
                field = refused.field if refused.field in form.fields else None
                form.add_error(field, refused.message)
            else:
                self.log_addition(request, intake, "requested")
                messages.success(request, _("%(name)s is loaded in the background.") % {"name": intake.name})
                return HttpResponseRedirect(reverse("admin:jobs_modelintake_changelist"))
        text = _(
            "The file is inspected as an uploaded one: its kind is detected from its tensors, pickles that would execute "
            "code are refused, and existing files are never overwritten."
        )
        return action_page(request, _("Load a model from a URL"), _("Load"), form=form, text=text)


@admin.register(ModelIntake)
class ModelIntakeAdmin(ReadOnly, ConsoleAdmin):
    source_path = "source"
    list_before_template = "admin/jobs/modelintake/live.html"
    change_form_outer_before_template = "admin/jobs/modelintake/live.html"
    actions = ["cancel"]
    list_display = [
        "name",
        "badge",
        "kind_label",
        "source",
        "requested_by",
        "received",
        "reason",
        "created_at",
        "finished",
    ]
    list_filter = ["state", "dialect", "source"]
    list_select_related = ["source"]
    search_fields = ["name", "url", "error", "requested_by"]
    fields = [
        "id",
        "name",
        "title",
        "badge",
        "reason",
        "kind_label",
        "from_address",
        "source",
        "is_shared",
        "requested_by",
        "dialect",
        "received",
        "attempts",
        "model_file",
        "created_at",
        "started_at",
        "finished_at",
    ]
    readonly_fields = ["badge", "reason", "kind_label", "from_address", "received", "model_file"]

    class Media:
        js = ["console/live.js"]

    def get_urls(self) -> list[URLPattern]:
        live = self.admin_site.admin_view(self.live)
        return [path("live/", live, name="jobs_modelintake_live"), *super().get_urls()]

    def live(self, request: HttpRequest) -> HttpResponse:
        """Cells of the newest intakes, by which live.js replaces those on the page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        newest = self.get_queryset(request).order_by("-created_at")[:MAX_LIVE]
        cells = (self.badge, self.received, self.reason, self.finished)
        return HttpResponse("".join(cell(intake) for intake in newest for cell in cells))

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """As for loading: operators who may add model files."""
        return request.user.has_perm("models_registry.add_modelfile") and not is_tenant(request.user)

    @admin.action(description=gettext_lazy("Cancel"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, intakes: QuerySet[ModelIntake]) -> None:
        cancelled = [intake for intake in intakes if cancel(intake)]
        for intake in cancelled:
            self.log_change(request, intake, "cancelled")
        self.message_user(request, _("Cancelled: %d") % len(cancelled))

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def badge(self, intake: ModelIntake) -> SafeString:
        state = IntakeState(intake.state)
        cell = '<span id="intake-{}-state" class="at-badge {}">{}</span>'
        return format_html(cell, intake.pk, BADGES.get(state, ""), state.label)

    @admin.display(description=gettext_lazy("error"), ordering="error")
    def reason(self, intake: ModelIntake) -> SafeString:
        return format_html('<span id="intake-{}-error">{}</span>', intake.pk, intake.error or "–")

    @admin.display(description=gettext_lazy("kind"), ordering="kind")
    def kind_label(self, intake: ModelIntake) -> str:
        return str(Kind(intake.kind).label) if intake.kind else str(_("as detected"))

    @admin.display(description=gettext_lazy("address"))
    def from_address(self, intake: ModelIntake) -> str:
        return intake.address

    @admin.display(description=gettext_lazy("received"))
    def received(self, intake: ModelIntake) -> SafeString:
        text = filesizeformat(intake.received_bytes)
        share: SafeString | str = ""
        if intake.total_bytes:
            text = _("%(part)s of %(whole)s") % {"part": text, "whole": filesizeformat(intake.total_bytes)}
            percent = min(100, 100 * intake.received_bytes // intake.total_bytes)
            bar = '<span class="at-bar" aria-hidden="true"><span style="width: {}%"></span></span> '
            share = format_html(bar, percent)
        return format_html('<span id="intake-{}-received">{}{}</span>', intake.pk, share, text)

    @admin.display(description=gettext_lazy("finished"), ordering="finished_at")
    def finished(self, intake: ModelIntake) -> SafeString:
        time = intake.finished_at
        text = date_format(timezone.localtime(time), "DATETIME_FORMAT") if time else "–"
        return format_html('<span id="intake-{}-finished">{}</span>', intake.pk, text)

    @admin.display(description=gettext_lazy("model file"))
    def model_file(self, intake: ModelIntake) -> SafeString | str:
        if intake.file is None:
            return "–"
        url = reverse("admin:models_registry_modelfile_change", args=[intake.file_id])
        return format_html('<a class="text-link" href="{}">{}</a>', url, intake.file.name)
