"""Capsules and reproductions in the console: download, "Reproduce", a form for a capsule file, and the comparison."""

from __future__ import annotations

import uuid
from hashlib import sha256
from typing import Any, cast

from django import forms
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from pydantic import ValidationError
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from access.keys.authentication import Denied
from access.keys.console_keys import console_key
from access.models import BusinessSource
from access.tenancy import visible_sources
from console.jobs.actions import JobActions, note_of
from jobs.admission.reproduce import ReproduceRequest, reproduce
from jobs.errors import Refused
from jobs.images.input_files import MAX_INPUT_BYTES
from jobs.models import Backend, Job, Output, OutputKind, Reproduction
from jobs.reproduction import comparison
from jobs.reproduction.build import capsule_of
from jobs.reproduction.capsule import MAX_CAPSULE_BYTES, Capsule, read_capsule

DIALECT = "native"
ADD_JOB = "jobs.add_job"


class ManyFiles(UnfoldAdminFileFieldWidget):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """Its value is a list of files."""

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        return [super(ManyFilesField, self).clean(file, initial) for file in data or ()]


class CapsuleForm(forms.Form):
    """A capsule file, and the images that this installation does not have."""

    capsule = forms.FileField(
        label=_("capsule"),
        widget=UnfoldAdminFileFieldWidget,
        help_text=_("The JSON file of an output, from this installation or another one."),
    )
    inputs = ManyFilesField(
        label=_("input images"),
        widget=ManyFiles,
        required=False,
        help_text=_("Those that the capsule names and that this source has not used here."),
    )
    original = forms.FileField(
        label=_("original image"),
        widget=UnfoldAdminFileFieldWidget,
        required=False,
        help_text=_("To compare with, if its job is not one of this source."),
    )
    source = forms.ModelChoiceField(
        BusinessSource.objects.none(), label=_("business source"), widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, sources: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].queryset = sources  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        original = cleaned.get("original")
        for name, files in (
            ("inputs", cleaned.get("inputs", [])),
            ("original", [original] if original else []),
        ):
            if any(file.size > MAX_INPUT_BYTES for file in files):
                self.add_error(name, _t("The file is too large."))
        return cleaned

    def clean_capsule(self) -> Capsule:
        try:
            return read_capsule(self.cleaned_data["capsule"].read(MAX_CAPSULE_BYTES + 1))
        except ValueError as error:
            raise forms.ValidationError(
                _t("This is not a capsule: %(reason)s") % {"reason": _first(error)}
            ) from None


class Reproductions(JobActions):
    """Admin mixin with the views of capsules and reproductions."""

    def get_urls(self) -> list[URLPattern]:
        view, job = self.admin_site.admin_view, "<uuid:job_id>/"
        return [
            path("reproduce/", view(self.reproduce_page), name="jobs_job_reproduce_capsule"),
            path(job + "pictures/<int:index>/capsule/", view(self.capsule_view), name="jobs_job_capsule"),
            path(
                job + "pictures/<int:index>/reproduce/", view(self.reproduce_view), name="jobs_job_reproduce"
            ),
            path(job + "reproduction/<slug:what>/", view(self.compared_view), name="jobs_job_reproduction"),
            *super().get_urls(),
        ]

    def capsule_view(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> HttpResponse:
        """Download of a capsule."""
        capsule = capsule_of(self._output_of(request, job_id, index)).model_dump_json(indent=2)
        headers = {"Content-Disposition": f'attachment; filename="capsule-{job_id}-{index}.json"'}
        return HttpResponse(capsule, content_type="application/json", headers=headers)

    def reproduce_view(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> HttpResponse:
        """Reproduce an output, billed to the source and key of its job."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_operate_permission(request):
            raise PermissionDenied
        output = self._output_of(request, job_id, index)
        job, capsule = output.job, capsule_of(output)
        try:
            new, _is_new = reproduce(
                ReproduceRequest(job.source, job.key, DIALECT, capsule, note=note_of(request))
            )
        except Refused as refused:
            self.message_user(request, refused.message, "ERROR")
            return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[job.pk]))
        self.log_change(request, job, _t("Repeated as %(job)s.") % {"job": new.pk})
        return self._to_new(request, new)

    def reproduce_page(self, request: HttpRequest) -> HttpResponse:
        """Form for the capsule file of any installation."""
        if not request.user.has_perm(ADD_JOB):
            raise PermissionDenied
        sources = visible_sources(request.user)
        sources = BusinessSource.objects.all() if sources is None else sources
        form = CapsuleForm(request.POST or None, request.FILES or None, sources=sources.order_by("name"))
        if request.method == "POST" and form.is_valid():
            try:
                new, _is_new = reproduce(_request(request, form))
                return self._to_new(request, new)
            except Refused as refused:
                form.add_error(None, refused.message)
            except Denied:
                form.add_error("source", _t("You may not submit jobs for this source."))
        context = self.admin_site.each_context(request)
        context |= {"title": _t("Reproduce a capsule"), "opts": self.opts, "form": form, "media": self.media}
        return TemplateResponse(request, "admin/jobs/job/reproduce.html", context)

    def compared_view(self, request: HttpRequest, job_id: uuid.UUID, what: str) -> HttpResponse:
        """The original image, or the picture of the difference."""
        self.visible_job(request, job_id)
        reproduction = get_object_or_404(Reproduction.objects.select_related("job", "original"), job=job_id)
        if what == "difference":
            data = comparison.picture_of(reproduction)
        elif what == "original":
            data = comparison.original_data(reproduction)
        else:
            data = None
        if data is None:
            raise Http404
        content_type = "image/png" if what == "difference" else reproduction.capsule["image"]["content_type"]
        safe = content_type if content_type in SHOWN else "application/octet-stream"
        return HttpResponse(data, content_type=safe, headers={"Cache-Control": "private, max-age=3600"})

    def _to_new(self, request: HttpRequest, new: Job) -> HttpResponse:
        self.log_change(request, new, _t("Reproduces a capsule."))
        self.message_user(request, _t("The new job was created."))
        return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[new.pk]))

    def _output_of(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> Output:
        job = self.visible_job(request, job_id)
        outputs = Output.objects.select_related("job__source", "job__key", "job__checkpoint", "job__workflow")
        drawn = outputs.exclude(job__backend=Backend.TRAINING)  # samples of a training cannot be drawn again
        return get_object_or_404(drawn, job=job.pk, kind=OutputKind.IMAGE, index=index)


SHOWN = frozenset({"image/png", "image/jpeg", "image/webp", "image/avif"})


def context(job: Job) -> dict[str, Any] | None:
    """For the page of a job: what it reproduces, and how far it is from that. None for other jobs."""
    reproduction = Reproduction.objects.select_related("job", "original").filter(job=job).first()
    if reproduction is None:
        return None
    found = comparison.comparison_of(reproduction)
    return {
        "row": reproduction,
        "image": reproduction.capsule["image"],
        "comparison": found,
        "reason": comparison.REASONS.get(found.reason, "") if found else "",
        "percent": 100 * (found.differing_share or 0) if found else 0,
        "has_original": bool(reproduction.original_id or reproduction.original_sent),
        "output": comparison.reproduced_output(reproduction),
        "conditions": comparison.differences_of_conditions(reproduction),
    }


def _request(request: HttpRequest, form: CapsuleForm) -> ReproduceRequest:
    """Raises Denied if the user's key of the source may not be used."""
    source = form.cleaned_data["source"]
    user = cast(AbstractBaseUser, request.user)  # admin_view has checked that somebody is signed in
    key = console_key(user, source, dialect=DIALECT, address=request.META.get("REMOTE_ADDR", ""))
    images = [file.read() for file in form.cleaned_data["inputs"]]
    original = form.cleaned_data["original"]
    return ReproduceRequest(
        source,
        key,
        DIALECT,
        form.cleaned_data["capsule"],
        images={sha256(data).hexdigest(): data for data in images},
        original=original.read() if original else None,
        note=note_of(request),
    )


def _first(error: ValueError) -> str:
    """The first reason, without the input."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
