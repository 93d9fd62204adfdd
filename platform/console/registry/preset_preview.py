"""Looks tried before clients get them: a preset draws, a prompt style shows the words that it makes."""

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

from access.internal_source import house_source
from access.models import BusinessSource
from console.admin_base.action_form import AskForm
from console.admin_base.base import ConsoleAdmin
from console.admin_base.job_watch import told
from console.tenants.keys import found
from jobs.admission.admit import admit
from jobs.errors import Refused
from jobs.models import Job
from jobs.sample_renders import style_presets
from models_registry.models import PromptStyle, StylePreset

from .permissions import check, may

LARGEST_PICTURE = 32 * 1024 * 1024


class TrialForm(AskForm):
    prompt = forms.CharField(
        label=gettext_lazy("prompt"),
        max_length=2000,
        required=False,
        initial="a red circle on a blue background",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    picture = forms.FileField(
        label=gettext_lazy("picture"),
        help_text=gettext_lazy("JPEG or PNG."),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "image/jpeg,image/png"}),
    )
    mask = forms.FileField(
        label=gettext_lazy("mask"),
        help_text=gettext_lazy("White is drawn anew."),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "image/jpeg,image/png"}),
    )
    source = forms.ChoiceField(
        label=gettext_lazy("on the account of"), choices=(), widget=UnfoldAdminSelectWidget
    )

    def __init__(self, preset: StylePreset, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].choices = [(source.name, str(source)) for source in _payers(preset)]  # type: ignore[attr-defined]
        if preset.task == StylePreset.Task.TXT2IMG:
            del self.fields["picture"]
        if preset.task != StylePreset.Task.INPAINT:
            del self.fields["mask"]
        self.fields["prompt"].required = preset.prompt_required

    def clean_picture(self) -> bytes:
        return self._read("picture")

    def clean_mask(self) -> bytes:
        return self._read("mask")

    def _read(self, name: str) -> bytes:
        file = self.cleaned_data[name]
        if file.size > LARGEST_PICTURE:
            raise forms.ValidationError(_("The picture is too large."))
        return bytes(file.read())


def _payers(preset: StylePreset) -> list[BusinessSource]:
    allowed = list(preset.allowed_sources.filter(enabled=True))
    if allowed:
        return allowed
    house = house_source()
    return [house, *BusinessSource.objects.filter(enabled=True).exclude(pk=house.pk)]


class PresetTrials(ConsoleAdmin):
    actions_detail = ["try_it"]

    def has_try_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return may(request, self, "change")

    @action(description=gettext_lazy("Try"), permissions=["try"], url_path="try", icon="brush")
    def try_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        preset: StylePreset = found(self, request, object_id)
        before = _trial(request.GET.get("job", ""))
        words = {"prompt": before.received.get("prompt", "")} if before else {}
        form = TrialForm(preset, request.POST or None, request.FILES or None, initial=words)
        if request.method == "POST" and form.is_valid():
            try:
                job = self._admit(request, preset, **form.cleaned_data)
                return HttpResponseRedirect(f"{request.path}?job={job.pk}")
            except Refused as refused:
                messages.error(request, refused.message)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Try %(preset)s") % {"preset": preset.title or preset},
            "opts": self.opts,
            "preset": preset,
            "form": form,
            "job": told(before) if before else None,
        }
        return TemplateResponse(request, "admin/models_registry/try_preset.html", context)

    def _admit(
        self,
        request: HttpRequest,
        preset: StylePreset,
        source: str,
        prompt: str,
        picture: bytes | None = None,
        mask: bytes | None = None,
    ) -> Job:
        payer = BusinessSource.objects.get(name=source)
        words = prompt.replace("\0", "")
        pictures = [given for given in (picture, mask) if given is not None]
        job = admit(style_presets.submission(preset, payer, words, pictures))
        self.log_change(request, preset, f"tried: {job.pk}")
        return job


def _trial(job_id: str) -> Job | None:
    if not job_id:
        return None
    try:
        return Job.objects.get(pk=uuid.UUID(job_id), operation=style_presets.OPERATION)
    except (ValueError, Job.DoesNotExist):
        raise Http404 from None


class WordsPreview(ConsoleAdmin):
    """Of the page of a prompt style: the words as a request would get them, before anything is saved."""

    change_form_outer_after_template = "admin/models_registry/words_preview.html"

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(self.preview)
        return [path("preview/", preview, name="models_registry_promptstyle_preview"), *super().get_urls()]

    def preview(self, request: HttpRequest) -> JsonResponse:
        check(request, self, "view")
        given = request.POST
        style = PromptStyle(prompt=given.get("style", ""), negative_prompt=given.get("negative_style", ""))
        prompt, negative = style.applied(given.get("prompt", ""), given.get("negative_prompt", ""))
        return JsonResponse({"prompt": prompt, "negative_prompt": negative})
