"""The registry as ops see it: what the scan found is read-only, what ops decide is not."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django_q.tasks import async_task

from console.base import ConsoleAdmin
from models_registry.models import (
    Checkpoint,
    ControlNet,
    Embedding,
    Lora,
    Matting,
    ModelFile,
    NsfwDetector,
    Preprocessor,
    Upscaler,
    Vae,
)

DECIDED = [
    "name",
    "aliases",
    "enabled",
    "is_default",
    "licence",
    "trigger_words",
    "cost_multiplier",
    "allowed_sources",
]
TRAINING = ["prediction_type", "zero_terminal_snr"]
FOUND = ["kind", "family", "path", "size", "sha256", "tensors_sha256", "legacy_hash", "metadata"]
STATE = ["missing_since", "present_on", "problem", "created_at", "scanned_at"]


class ModelFileForm(forms.ModelForm):
    def clean_name(self) -> str:
        """The kind is not in the form, so Django would leave this to the database."""
        name = self.cleaned_data["name"]
        if ModelFile.objects.filter(kind=self.instance.kind, name=name).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(_("Another file of this kind has this name."))
        return name


@admin.register(Lora, Vae, ControlNet, Embedding, Upscaler, Matting, NsfwDetector, Preprocessor)
class ModelOfAKindAdmin(ConsoleAdmin):
    form = ModelFileForm
    fields = [*DECIDED, *FOUND, *STATE]
    readonly_fields = [*FOUND, *STATE]
    filter_horizontal = ["allowed_sources"]
    list_display = [
        "name",
        "family",
        "size",
        "short_hash",
        "enabled",
        "is_default",
        "missing_since",
        "problem",
    ]
    list_filter = [
        "family",
        "enabled",
        ("missing_since", admin.EmptyFieldListFilter),
        "runners",
        "allowed_sources",
    ]
    search_fields = ["name", "path", "sha256"]
    actions = ["enable", "disable", "make_default"]
    change_list_template = "admin/models_registry/change_list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelFile]:
        # A LoRA's metadata may be a quarter of a megabyte; only its own page reads them.
        return super().get_queryset(request).defer("metadata")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # files come by the scan

    def get_urls(self) -> list[URLPattern]:
        scan = self.admin_site.admin_view(self.scan_now)
        return [
            path("scan/", scan, name=f"{self.opts.app_label}_{self.opts.model_name}_scan"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        may_scan = self.has_change_permission(request)
        return super().changelist_view(request, {**(extra_context or {}), "may_scan": may_scan})

    def save_model(self, request: HttpRequest, obj: ModelFile, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if obj.is_default:
            obj.become_default()

    def scan_now(self, request: HttpRequest) -> HttpResponseRedirect:
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        async_task("models_registry.tasks.scan", task_name="scan_models")
        self.message_user(request, _("A scan is queued; it runs in the background."))
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))

    @admin.display(description=_("present on runners"))
    def present_on(self, file: ModelFile) -> str:
        return ", ".join(runner.name for runner in file.runners.order_by("name")) or "–"

    @admin.display(description=_("size"), ordering="size_bytes")
    def size(self, file: ModelFile) -> str:
        return filesizeformat(file.size_bytes)

    @admin.display(description=_("hash"), ordering="sha256")
    def short_hash(self, file: ModelFile) -> str:
        return file.short_hash

    @admin.action(description=_("Enable the selected files"), permissions=["change"])
    def enable(self, request: HttpRequest, files: QuerySet[ModelFile]) -> None:
        self.message_user(request, _("Enabled: %d") % files.update(enabled=True))

    @admin.action(description=_("Disable the selected files"), permissions=["change"])
    def disable(self, request: HttpRequest, files: QuerySet[ModelFile]) -> None:
        self.message_user(request, _("Disabled: %d") % files.update(enabled=False))

    @admin.action(description=_("Make the selected file the default of its kind"), permissions=["change"])
    def make_default(self, request: HttpRequest, files: QuerySet[ModelFile]) -> None:
        if len(files) != 1:
            self.message_user(request, _("Select one file."), messages.ERROR)
            return
        files[0].become_default()


@admin.register(Checkpoint)
class CheckpointAdmin(ModelOfAKindAdmin):
    fields = [*DECIDED, *TRAINING, *FOUND, *STATE]


@admin.register(ModelFile)
class ModelFileAdmin(ModelOfAKindAdmin):
    """All kinds, and the only place that shows those of no kind."""

    list_display = ["name", "kind", *ModelOfAKindAdmin.list_display[1:]]
    list_filter = ["kind", *ModelOfAKindAdmin.list_filter]
