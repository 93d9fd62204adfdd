"""Previews of a style: a style preset generates an image, a prompt style shows the resulting prompts."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from access.internal_source import internal_source
from access.models import BusinessSource
from console.admin_base.action_form import ActionForm
from console.admin_base.base import ConsoleAdmin, visible_object
from console.admin_base.job_watch import watched_job
from jobs.admission.admit import admit
from jobs.errors import Refused
from jobs.models import Job
from jobs.sample_renders import style_presets
from models_registry.models import PromptStyle, StylePreset

from .permissions import check, may

MAX_IMAGE_MB = 32


class PresetPreviewForm(ActionForm):
    prompt = forms.CharField(
        label=gettext_lazy("prompt"),
        max_length=2000,
        required=False,
        initial="a red circle on a blue background",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    image = forms.FileField(
        label=gettext_lazy("image"),
        help_text=gettext_lazy("JPEG or PNG."),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "image/jpeg,image/png"}),
    )
    mask = forms.FileField(
        label=gettext_lazy("mask"),
        help_text=gettext_lazy("White areas are repainted."),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "image/jpeg,image/png"}),
    )
    source = forms.ChoiceField(label=gettext_lazy("billed to"), choices=(), widget=UnfoldAdminSelectWidget)

    def __init__(self, preset: StylePreset, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].choices = [(source.name, str(source)) for source in _payers(preset)]  # type: ignore[attr-defined]
        if preset.task == StylePreset.Task.TXT2IMG:
            del self.fields["image"]
        if preset.task != StylePreset.Task.INPAINT:
            del self.fields["mask"]
        self.fields["prompt"].required = preset.prompt_required

    def clean_image(self) -> bytes:
        return self._read("image")

    def clean_mask(self) -> bytes:
        return self._read("mask")

    def _read(self, name: str) -> bytes:
        file = self.cleaned_data[name]
        if file.size > MAX_IMAGE_MB * 2**20:
            raise forms.ValidationError(_("The image exceeds %(limit)d MB.") % {"limit": MAX_IMAGE_MB})
        return bytes(file.read())


def _payers(preset: StylePreset) -> list[BusinessSource]:
    """Sources that a preview may be billed to."""
    allowed = list(preset.allowed_sources.filter(enabled=True))
    if allowed:
        return allowed
    internal = internal_source()
    return [internal, *BusinessSource.objects.filter(enabled=True).exclude(pk=internal.pk)]


class PresetPreviewMixin(ConsoleAdmin):
    """Page of a style preset that generates an image with it."""

    actions_detail = ["try_it"]

    def has_try_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return may(request, self, "change")

    @action(description=gettext_lazy("Try"), permissions=["try"], url_path="try", icon="brush")
    def try_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        preset: StylePreset = visible_object(self, request, object_id)
        job = _preview_job(request.GET.get("job", ""))
        initial = {"prompt": job.received.get("prompt", "")} if job else {}
        form = PresetPreviewForm(preset, request.POST or None, request.FILES or None, initial=initial)
        if request.method == "POST" and form.is_valid():
            try:
                new_job = self._admit(request, preset, **form.cleaned_data)
                return HttpResponseRedirect(f"{request.path}?job={new_job.pk}")
            except Refused as refused:
                messages.error(request, refused.message)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Try %(preset)s") % {"preset": preset.title or preset},
            "opts": self.opts,
            "preset": preset,
            "form": form,
            "job": watched_job(job) if job else None,
        }
        return TemplateResponse(request, "admin/models_registry/try_preset.html", context)

    def _admit(
        self,
        request: HttpRequest,
        preset: StylePreset,
        source: str,
        prompt: str,
        image: bytes | None = None,
        mask: bytes | None = None,
    ) -> Job:
        payer = BusinessSource.objects.get(name=source)
        images = [data for data in (image, mask) if data is not None]
        job = admit(style_presets.submission(preset, payer, prompt.replace("\0", ""), images))
        self.log_change(request, preset, f"previewed: {job.pk}")
        return job


def _preview_job(job_id: str) -> Job | None:
    if not job_id:
        return None
    try:
        return Job.objects.get(pk=uuid.UUID(job_id), operation=style_presets.OPERATION)
    except (ValueError, Job.DoesNotExist):
        raise Http404 from None


class PromptPreviewMixin(ConsoleAdmin):
    """Shows on the page of a prompt style which prompts a request gets, before the style is saved."""

    change_form_outer_after_template = "admin/models_registry/prompt_preview.html"

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(self.preview)
        return [path("preview/", preview, name="models_registry_promptstyle_preview"), *super().get_urls()]

    def preview(self, request: HttpRequest) -> JsonResponse:
        check(request, self, "view")
        data = request.POST
        style = PromptStyle(prompt=data.get("style", ""), negative_prompt=data.get("negative_style", ""))
        prompt, negative = style.apply(data.get("prompt", ""), data.get("negative_prompt", ""))
        return JsonResponse({"prompt": prompt, "negative_prompt": negative})
