"""Admin of model files. Fields filled by the scan are read-only; the others are set by operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from access.models import BusinessSource
from access.tenancy import is_tenant
from console.admin_base.fields import LinesField, WordsField
from console.tenants.roles import VIEW_IMAGES
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from jobs.models import Runner
from models_registry.models import (
    KINDS_WITH_DEFAULT,
    Checkpoint,
    CommercialUse,
    ControlNet,
    Detector,
    DiffusionModel,
    Embedding,
    FaceDetector,
    FaceRestorer,
    Lora,
    Matting,
    ModelCover,
    ModelFile,
    NsfwDetector,
    Preprocessor,
    Tagger,
    TextDetector,
    TextEncoder,
    Upscaler,
    Vae,
)

from .files.bulk import BulkMixin
from .files.cards import CardsMixin, TagFilter, prepare_cards
from .files.covers import CoverMixin
from .files.parts import CheckpointPartsMixin
from .files.remedies import remedy
from .intakes import LoadFromUrlMixin
from .sample_images import SampleMixin, thumbnail_urls
from .scan_button import ScanMixin
from .tenant_view import TenantViewMixin
from .upload import UploadMixin
from .usage import load_times, runners_with_loaded, training_of, usage_of, versions_of

USE = ["name", "aliases", "enabled", "is_default", "cost_multiplier", "allowed_sources"]
CARD = [
    "description",
    "author",
    "base",
    "version_of",
    "tags",
    "trigger_words",
    "licence",
    "commercial_use",
]
EDITABLE = [*USE, *CARD]
DEFAULTS = [
    "default_steps",
    "default_guidance_scale",
    "default_sampler",
    "default_scheduler",
    "default_width",
    "default_height",
    "default_clip_skip",
    "default_negative_prompt",
    "prompt_prefix",
]
PARTS = ["vae_file", "text_encoder_files"]
SIZE = {"default_width", "default_height"}
TRAINING = ["prediction_type", "zero_terminal_snr", "variant"]
SCANNED = ["kind", "family", "path", "size", "whole_hash", "tensors_sha256", "legacy_hash", "metadata"]
LORA_PARTS = ["left_out", "bundled_embeddings"]
GROUPS: list[tuple[str | Promise, list[str]]] = [
    (_("Card"), CARD),
    (_("Defaults of requests"), DEFAULTS),
    (_("VAE and text encoders"), PARTS),
    (_("Training"), TRAINING),
]
STATE = ["trained_by", "expires_at", "missing_since", "present_on", "problem", "created_at", "scanned_at"]


def _without_default(names: Sequence[Any]) -> list[Any]:
    return [name for name in names if name != "is_default"]


class ModelFileForm(forms.ModelForm):
    aliases = LinesField(
        label=_("Other names"),
        required=False,
        max_length=5000,
        help_text=_("Other names under which clients may request this file, one per line."),
    )

    tags = WordsField(label=_("Tags"), required=False, help_text=_("Separated by commas."))

    def clean_name(self) -> str:
        # kind is not a field of the form, so Django does not validate the unique constraint on kind and name.
        name = self.cleaned_data["name"]
        if ModelFile.objects.filter(kind=self.instance.kind, name=name).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(_("Another file of this kind already has this name."))
        return name


class CheckpointForm(CheckpointPartsMixin, ModelFileForm):
    default_sampler = forms.ChoiceField(
        label=_("Default sampler"),
        required=False,
        choices=[("", "–"), *((entry.name, entry.name) for entry in sampler_catalog.SAMPLERS)],
        widget=UnfoldAdminSelectWidget,
    )
    default_scheduler = forms.ChoiceField(
        label=_("Default scheduler"),
        required=False,
        choices=[("", "–"), *((entry.label, entry.label) for entry in sampler_catalog.SCHEDULERS)],
        widget=UnfoldAdminSelectWidget,
        help_text=_("Used together with the default sampler, if a request names neither."),
    )


@admin.register(
    Vae,
    ControlNet,
    Embedding,
    Upscaler,
    Matting,
    NsfwDetector,
    FaceDetector,
    FaceRestorer,
    TextDetector,
    Tagger,
    Detector,
    DiffusionModel,
    TextEncoder,
    Preprocessor,
)
class SingleKindAdmin(
    CardsMixin, BulkMixin, CoverMixin, TenantViewMixin, ScanMixin, UploadMixin, LoadFromUrlMixin, SampleMixin
):
    """Model files of one kind."""

    form = ModelFileForm
    fields = [*EDITABLE, *SCANNED, *STATE]
    readonly_fields = [*SCANNED, *STATE]
    autocomplete_fields = ["allowed_sources"]
    list_display = [
        "sample",
        "name",
        "family",
        "size",
        "short_hash",
        "enabled",
        "default_mark",
        "commercial_use",
        "loaded_on",
        "missing_since",
        "problem_and_remedy",
    ]
    list_display_links = ["name"]
    list_filter = [
        "family",
        "enabled",
        ("missing_since", admin.EmptyFieldListFilter),
        "commercial_use",
        TagFilter,
        "runners",
        "allowed_sources",
    ]
    search_fields = ["name", "path", "sha256", "author", "version_of", "trigger_words"]
    actions = ["enable", "disable", "make_default", "change_several", "inspect_again"]
    change_list_template = "admin/models_registry/change_list.html"
    change_form_outer_before_template = "admin/models_registry/model_overview.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelFile]:
        # The metadata of a LoRA may have 256 KB; only the page of the file needs it.
        return super().get_queryset(request).defer("metadata")

    def get_fields(self, request: HttpRequest, obj: ModelFile | None = None) -> Sequence[Any]:
        fields = super().get_fields(request, obj)
        kind = self.model.KIND or (obj.kind if obj else "")
        return fields if kind in KINDS_WITH_DEFAULT else _without_default(fields)

    def get_fieldsets(self, request: HttpRequest, obj: ModelFile | None = None) -> Any:
        names = list(self.get_fields(request, obj))
        if is_tenant(request.user):
            return [(None, {"fields": names})]
        groups: list[tuple[Any, list[str]]] = [
            (title, [name for name in group if name in names]) for title, group in GROUPS
        ]
        scanned = [
            name for name in names if name not in {*USE, *(name for _t, group in groups for name in group)}
        ]
        groups = [(None, [name for name in names if name in USE]), *groups, (_("File"), scanned)]
        return [(title, {"fields": group}) for title, group in groups if group]

    def rows_of(self, sources: QuerySet[BusinessSource], rows: QuerySet[Any]) -> QuerySet[Any]:
        rows = super().rows_of(sources, rows)
        if sources.filter(commercial_models_only=False).exists():
            return rows
        return rows.filter(commercial_use=CommercialUse.YES)

    def get_list_display(self, request: HttpRequest) -> Sequence[Any]:
        columns = super().get_list_display(request)
        return columns if self._has_default else [name for name in columns if name != "default_mark"]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        if not self._has_default:
            actions.pop("make_default", None)
        return actions

    @property
    def _has_default(self) -> bool:
        return not self.model.KIND or self.model.KIND in KINDS_WITH_DEFAULT

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # rows are created by scans and uploads

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The change list, with sample images and runners fetched in one query each for all rows."""
        changelist = super().get_changelist_instance(request)
        files = list(changelist.result_list)
        thumbnails, loaded = thumbnail_urls(files), runners_with_loaded(files)
        on_runners = set(
            Runner.own_files.through.objects.filter(modelfile__in=files).values_list(
                "modelfile_id", flat=True
            )
        )
        for file in files:
            file.sample_url, file.loaded_on = thumbnails.get(file.pk, ""), loaded.get(file.pk, [])
            missing = file.missing_since is not None and file.pk not in on_runners
            file.needs_attention = file.enabled and (bool(file.problem) or missing)
        prepare_cards(files, {} if is_tenant(request.user) else thumbnails)
        changelist.result_list = files
        return changelist

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        file: Any = super().get_object(request, object_id, from_field)
        if file is not None:
            file.training = training_of(file, request.user)
        return file

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        file = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if file is not None and self.has_view_permission(request, file) and not is_tenant(request.user):
            context |= self.sample_context(request, file)
            loaded_on = runners_with_loaded([file]).get(file.pk, [])
            may_see_images = request.user.has_perms(VIEW_IMAGES)
            context |= {"file": file, "usage": usage_of(file, with_images=may_see_images)}
            context |= {"loaded_on": loaded_on, "load_times": load_times(file), "remedy": remedy(file)}
            context |= {"cover": ModelCover.objects.filter(file=file).defer("jpeg").first()}
            context |= {"may_change": self.has_change_permission(request), "versions": versions_of(file)}
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: ModelFile, form: Any, change: bool) -> None:
        edited = set(form.changed_data)
        obj.mark_edited(edited | SIZE if edited & SIZE else edited)
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

    @admin.display(description=_("training"))
    def trained_by(self, file: ModelFile) -> SafeString | str:
        """A link to the training whose result the file is."""
        training = getattr(file, "training", None)  # get_object sets it
        if training is None:
            return "–"
        return format_html('<a href="{}">{}</a>', reverse("console:training", args=[training.pk]), training)

    @admin.display(description=_("default"), ordering="is_default")
    def default_mark(self, file: ModelFile) -> str:
        return str(_("default")) if file.is_default else "–"

    @admin.display(description=_("problem"), ordering="problem")
    def problem_and_remedy(self, file: Any) -> SafeString | str:
        if not (file.problem or file.remedy):
            return "–"
        return format_html("{} <strong>{}</strong>", file.problem, file.remedy)

    @admin.display(description=_("loaded on"))
    def loaded_on(self, file: Any) -> str:
        return ", ".join(file.loaded_on) or "–"

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
        if files[0].kind not in KINDS_WITH_DEFAULT:
            message = _("There is no default for the kind %(kind)s: requests that name none use none.")
            self.message_user(request, message % {"kind": files[0].get_kind_display()}, messages.ERROR)
            return
        files[0].become_default()


@admin.register(Checkpoint)
class CheckpointAdmin(SingleKindAdmin):
    form = CheckpointForm
    fields = [*EDITABLE, *DEFAULTS, *PARTS, *TRAINING, *SCANNED, "without_vae", "instruct", *STATE]
    readonly_fields = [*SingleKindAdmin.readonly_fields, "without_vae", "instruct"]


@admin.register(Lora)
class LoraAdmin(SingleKindAdmin):
    fields = [*EDITABLE, *SCANNED, *LORA_PARTS, *STATE]
    readonly_fields = [*SingleKindAdmin.readonly_fields, *LORA_PARTS]
    list_display = [*SingleKindAdmin.list_display, "expires_at"]


@admin.register(ModelFile)
class ModelFileAdmin(SingleKindAdmin):
    """Model files of all kinds, including those whose kind is unknown."""

    list_display = ["sample", "name", "kind", *SingleKindAdmin.list_display[2:]]
    list_filter = ["kind", *SingleKindAdmin.list_filter]

    def get_fields(self, request: HttpRequest, obj: ModelFile | None = None) -> Sequence[Any]:
        fields = super().get_fields(request, obj)
        return [*fields, *DEFAULTS, *PARTS] if _is_checkpoint(obj) and not is_tenant(request.user) else fields

    def get_form(
        self, request: HttpRequest, obj: ModelFile | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if _is_checkpoint(obj):
            kwargs["form"] = CheckpointForm
        return super().get_form(request, obj, change, **kwargs)


def _is_checkpoint(file: ModelFile | None) -> bool:
    return file is not None and file.kind == Checkpoint.KIND
