"""Sample images of model files: generated on demand on the page of a file, and shown as thumbnails in lists."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from console.admin_base.base import ConsoleAdmin
from console.admin_base.job_watch import watched_job
from jobs.errors import Refused
from jobs.models import Job, ModelSample
from jobs.sample_renders import model_files
from models_registry.models import ModelFile

from .permissions import check, may


class SampleMixin(ConsoleAdmin):
    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_sample"
        sample = self.admin_site.admin_view(self.generate_sample)
        return [path("<int:file_id>/sample/", sample, name=name), *super().get_urls()]

    def generate_sample(self, request: HttpRequest, file_id: int) -> HttpResponse:
        check(request, self, "change")
        file = get_object_or_404(self.get_queryset(request), pk=file_id)
        prompt = request.POST.get("prompt", "").replace("\0", "").strip() or model_files.PROMPT
        try:
            model_files.submit_sample(file, prompt, by=f"console: {request.user.get_username()}")
        except Refused as refused:
            self.message_user(request, refused.message, messages.ERROR)
        page = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[file_id])
        return HttpResponseRedirect(page)

    def sample_context(self, request: HttpRequest, file: ModelFile) -> dict[str, Any]:
        """Template context: the newest sample job, the newest finished image, and whether the user may start one."""
        newest = ModelSample.objects.filter(file=file).select_related("job").first()
        return {
            "can_be_sampled": model_files.can_be_sampled(file) and may(request, self, "change"),
            "sample_prompt": model_files.PROMPT,
            "sample": watched_job(newest.job) if newest else None,
            "thumbnail_url": thumbnail_urls([file]).get(file.pk),
        }


def thumbnail_urls(files: list[ModelFile]) -> dict[int, str]:
    """URLs of the newest sample thumbnails by primary key of the file, in one query for all files."""
    return {pk: _thumbnail_url(job) for pk, job in model_files.newest_rendered(files).items()}


def _thumbnail_url(job: Job) -> str:
    return reverse("admin:jobs_job_thumbnail", args=[job.pk, 0])
