"""The registry as ops see it: what the scan found is read-only, what ops decide is not."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from access.tenancy import is_tenant
from console.admin_base.fields import LinesField
from models_registry.models import (
    Checkpoint,
    ControlNet,
    Embedding,
    FaceDetector,
    FaceRestorer,
    Lora,
    Matting,
    ModelFile,
    NsfwDetector,
    Preprocessor,
    Upscaler,
    Vae,
)

from .sample_images import Sampling, pictures_of
from .scan_button import Scanning
from .tenant_view import Shared
from .upload import Uploading
from .usage import use_of, warm_on

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
FOUND = ["kind", "family", "path", "size", "whole_hash", "tensors_sha256", "legacy_hash", "metadata"]
STATE = ["missing_since", "present_on", "problem", "created_at", "scanned_at"]


class ModelFileForm(forms.ModelForm):
    aliases = LinesField(
        label=_("Other names"),
        required=False,
        max_length=5000,
        help_text=_("Names that clients use for files that this one stands in for, one a line."),
    )

    def clean_name(self) -> str:
        """The kind is not in the form, so Django would leave this to the database."""
        name = self.cleaned_data["name"]
        if ModelFile.objects.filter(kind=self.instance.kind, name=name).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(_("Another file of this kind has this name."))
        return name


@admin.register(
    Lora,
    Vae,
    ControlNet,
    Embedding,
    Upscaler,
    Matting,
    NsfwDetector,
    FaceDetector,
    FaceRestorer,
    Preprocessor,
)
class ModelOfAKindAdmin(Shared, Scanning, Uploading, Sampling):
    form = ModelFileForm
    fields = [*DECIDED, *FOUND, *STATE]
    readonly_fields = [*FOUND, *STATE]
    autocomplete_fields = ["allowed_sources"]
    list_display = [
        "sample",
        "name",
        "family",
        "size",
        "short_hash",
        "enabled",
        "is_default",
        "warm",
        "missing_since",
        "problem",
    ]
    list_display_links = ["name"]
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
    change_form_outer_before_template = "admin/models_registry/model_overview.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelFile]:
        # A LoRA's metadata may be a quarter of a megabyte; only its own page reads them.
        return super().get_queryset(request).defer("metadata")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # files come by the scan

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With what each row shows of other tables, fetched for all rows at once."""
        changelist = super().get_changelist_instance(request)
        files = list(changelist.result_list)
        pictures, warm = pictures_of(files), warm_on(files)
        for file in files:
            file.sample_url, file.warm_on = pictures.get(file.pk, ""), warm.get(file.pk, [])
        changelist.result_list = files
        return changelist

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        file = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if file is not None and self.has_view_permission(request, file) and not is_tenant(request.user):
            context |= self.sample_context(request, file)
            context |= {"file": file, "use": use_of(file), "warm_on": warm_on([file]).get(file.pk, [])}
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: ModelFile, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if obj.is_default:
            obj.become_default()

    @admin.display(description=_("present on runners"))
    def present_on(self, file: ModelFile) -> str:
        return ", ".join(runner.name for runner in file.runners.order_by("name")) or "–"

    @admin.display(description=_("sample"))
    def sample(self, file: Any) -> SafeString | str:
        if not file.sample_url:
            return "–"
        return format_html(
            '<img src="{}" alt="" loading="lazy" width="48" height="48" class="object-cover rounded-default">',
            file.sample_url,
        )

    @admin.display(description=_("warm on"))
    def warm(self, file: Any) -> str:
        return ", ".join(file.warm_on) or "–"

    @admin.display(description="SHA-256")
    def whole_hash(self, file: ModelFile) -> SafeString | str:
        return format_html('<span style="overflow-wrap: anywhere">{}</span>', file.sha256) or "–"

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

    list_display = ["sample", "name", "kind", *ModelOfAKindAdmin.list_display[2:]]
    list_filter = ["kind", *ModelOfAKindAdmin.list_filter]
