"""Page on which an operator adds a workflow template from a file of ComfyUI or a pasted text."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.forms.widgets import Script
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget

from console.admin_base.action_form import ActionForm, action_page
from console.admin_base.base import ConsoleAdmin
from console.admin_base.fields import JSONWidget
from console.registry.permissions import may
from gpu_runner.protocol.workflows.imports.documents import MAX_BYTES, NoWorkflow, read_document
from gpu_runner.protocol.workflows.imports.editor_format import is_editor_format
from gpu_runner.protocol.workflows.imports.messages import EditorFile
from gpu_runner.protocol.workflows.imports.slot_proposal import Proposal, proposed
from jobs.errors import Refused
from jobs.execution.runner_client import RunnerClient, RunnerError
from jobs.images import input_files
from models_registry.models import WorkflowTemplate
from models_registry.models.workflow_templates import WithoutSlot

from .fleet_check import comfyui_runners
from .import_notes import text_of

PNG = b"\x89PNG"
PNG_TEXTS = ("prompt", "workflow")  # the API format first
EXPORT = gettext_lazy("In ComfyUI, use the menu item Workflow, Export (API), and import that file.")


class ImportForm(ActionForm):
    class Media:
        css: ClassVar = {"all": ["console/workflow_graph.css"]}
        js = (Script("console/file_drop.js", defer=True),)

    name = forms.CharField(label=gettext_lazy("name"), max_length=100, widget=UnfoldAdminTextInputWidget)
    file = forms.FileField(
        label=gettext_lazy("file"),
        required=False,
        help_text=gettext_lazy("A .json file of ComfyUI, or a PNG image that it drew. Can be dropped here."),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".json,.png"}),
    )
    text = forms.CharField(
        label=gettext_lazy("or its text"),
        required=False,
        strip=False,
        max_length=MAX_BYTES,
        widget=JSONWidget,
    )

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if WorkflowTemplate.objects.filter(name=name).exists():
            raise ValidationError(_("A workflow template with this name exists."))
        return name

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        file, text = data.get("file"), data.get("text", "")
        if bool(file) == bool(text.strip()):
            raise ValidationError(_("Choose a file, or paste its text."))
        field = "file" if file else "text"
        try:
            data["proposal"] = proposed(_graph(read_document(_content(file) if file else text)))
            self._template = _template(data.get("name", ""), data["proposal"])
        except (NoWorkflow, Refused) as error:
            self.add_error(field, error.message if isinstance(error, Refused) else str(error))
        except ValidationError as error:
            self.add_error(
                field, [message for messages in error.message_dict.values() for message in messages]
            )
        return data

    def template(self) -> WorkflowTemplate:
        return self._template


def _content(file: Any) -> str:
    """The text of an uploaded file, or the workflow in a PNG image."""
    limit = input_files.MAX_INPUT_BYTES
    if file.size > limit:
        raise NoWorkflow(_("The file must have at most %(limit)d MB.") % {"limit": limit >> 20})
    data: bytes = file.read()
    if not data.startswith(PNG):
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise NoWorkflow(_("The file is neither JSON in UTF-8 nor a PNG image.")) from None
    input_files.check_image(data)
    with input_files.opened(data) as image:
        image.load()  # texts may follow the pixels
        texts = [image.info.get(name) for name in PNG_TEXTS]
    for text in texts:
        if isinstance(text, str) and text.strip():
            return text
    raise NoWorkflow(_("The image contains no workflow."))


def _graph(document: dict[str, Any]) -> dict[str, Any]:
    """The graph in API format. A file of the editor is converted with the nodes of the first server that can."""
    if not is_editor_format(document):
        return document
    problem = _("no ComfyUI server is connected")
    for runner in comfyui_runners():
        try:
            answer = RunnerClient.of(runner).converted_workflow(EditorFile(workflow=document))
        except (RunnerError, ValueError) as error:
            problem = f"{runner}: {error}"
            continue
        if not answer.problem:
            return answer.graph
        problem = f"{runner}: {answer.problem}"
    message = _("This is a file of ComfyUI's editor, which could not be converted (%(problem)s). %(export)s")
    raise NoWorkflow(message % {"problem": problem, "export": EXPORT})


def _template(name: str, proposal: Proposal) -> WorkflowTemplate:
    template = WorkflowTemplate(
        name=name,
        graph=proposal.graph,
        slots=proposal.slots,
        if_asked=proposal.if_asked,
        output=proposal.output,
        without_slot=WithoutSlot.NOTE,
    )
    if not proposal.slots:
        raise NoWorkflow("; ".join(map(text_of, proposal.notes)))
    template.clean()
    return template


class ImportMixin(ConsoleAdmin):
    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.import_page)
        return [path("import/", page, name="models_registry_workflowtemplate_import"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {"may_import": may(request, self, "add")}
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def import_page(self, request: HttpRequest) -> HttpResponse:
        if not may(request, self, "add"):
            raise PermissionDenied
        posted = request.method == "POST"
        form = ImportForm(request.POST if posted else None, request.FILES if posted else None)
        if form.is_valid():
            template = form.template()
            template.save()
            self.log_addition(request, template, "imported")
            for note in form.cleaned_data["proposal"].notes:
                self.message_user(request, text_of(note))
            self.message_user(request, _("Imported. Check the proposed slots below, then try the template."))
            page = reverse("admin:models_registry_workflowtemplate_change", args=[template.pk])
            return HttpResponseRedirect(page)
        text = _(
            "An API export, a body of POST /prompt, a file of the editor, or an image that ComfyUI saved. Slots are "
            "proposed from the graph. No request uses the template until a rule or a default purpose names it."
        )
        return action_page(request, _("Import a workflow"), _("Import"), form=form, text=text)
