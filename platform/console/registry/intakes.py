"""Models that are loaded from URLs: the list of requests with their outcome, and the page on which operators add one."""

from __future__ import annotations

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from access.internal_source import internal_source
from access.models import BusinessSource
from console.admin_base.action_form import ActionForm, action_page
from console.admin_base.base import ConsoleAdmin, ReadOnly
from jobs.errors import Refused
from jobs.model_intake.submission import KINDS, MAX_NAME, IntakeRequest, submit
from jobs.models import IntakeState, ModelIntake
from jobs.outbound.policy import MAX_URL
from models_registry.models import Kind

from .permissions import may

DIALECT = "console"
BADGES = {
    IntakeState.READY: "success",
    IntakeState.FAILED: "danger",
    IntakeState.QUEUED: "info",
    IntakeState.RUNNING: "info",
}


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
    list_display = [
        "name",
        "badge",
        "kind_label",
        "source",
        "requested_by",
        "received",
        "error",
        "created_at",
        "finished_at",
    ]
    list_filter = ["state", "dialect", "source"]
    list_select_related = ["source"]
    search_fields = ["name", "url", "error", "requested_by"]
    fields = [
        "id",
        "name",
        "title",
        "badge",
        "error",
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
    readonly_fields = ["badge", "kind_label", "from_address", "received", "model_file"]

    @display(description=gettext_lazy("state"), label=BADGES)
    def badge(self, intake: ModelIntake) -> tuple[str, str]:
        return intake.state, str(IntakeState(intake.state).label)

    @admin.display(description=gettext_lazy("kind"), ordering="kind")
    def kind_label(self, intake: ModelIntake) -> str:
        return str(Kind(intake.kind).label) if intake.kind else str(_("as detected"))

    @admin.display(description=gettext_lazy("address"))
    def from_address(self, intake: ModelIntake) -> str:
        return intake.address

    @admin.display(description=gettext_lazy("received"))
    def received(self, intake: ModelIntake) -> str:
        received = filesizeformat(intake.received_bytes)
        if not intake.total_bytes:
            return received
        return _("%(part)s of %(whole)s") % {"part": received, "whole": filesizeformat(intake.total_bytes)}

    @admin.display(description=gettext_lazy("model file"))
    def model_file(self, intake: ModelIntake) -> SafeString | str:
        if intake.file is None:
            return "–"
        url = reverse("admin:models_registry_modelfile_change", args=[intake.file_id])
        return format_html('<a class="text-link" href="{}">{}</a>', url, intake.file.name)
