"""A sample picture of a model file, made on the spot, and the newest ones in lists."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from console.admin_base.base import ConsoleAdmin
from console.admin_base.job_watch import told
from jobs.errors import Refused
from jobs.models import Job, ModelSample
from jobs.sample_renders import model_files
from models_registry.models import ModelFile

from .permissions import check, may


class Sampling(ConsoleAdmin):
    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_sample"
        sample = self.admin_site.admin_view(self.draw_sample)
        return [path("<int:file_id>/sample/", sample, name=name), *super().get_urls()]

    def draw_sample(self, request: HttpRequest, file_id: int) -> HttpResponse:
        check(request, self, "change")
        file = get_object_or_404(self.get_queryset(request), pk=file_id)
        prompt = request.POST.get("prompt", "").replace("\0", "").strip() or model_files.PROMPT
        try:
            model_files.draw(file, prompt, by=f"console: {request.user.get_username()}")
        except Refused as refused:
            self.message_user(request, refused.message, messages.ERROR)
        back = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[file_id])
        return HttpResponseRedirect(back)

    def sample_context(self, request: HttpRequest, file: ModelFile) -> dict[str, Any]:
        newest = ModelSample.objects.filter(file=file).select_related("job").first()
        return {
            "can_be_sampled": model_files.can_be_sampled(file) and may(request, self, "change"),
            "sample_prompt": model_files.PROMPT,
            "sample": told(newest.job) if newest else None,
            "pictured": pictures_of([file]).get(file.pk),
        }


def pictures_of(files: list[ModelFile]) -> dict[int, str]:
    """Addresses of thumbnails, by the files' keys. One query for a whole list."""
    return {pk: _thumbnail(job) for pk, job in model_files.newest_pictured(files).items()}


def _thumbnail(job: Job) -> str:
    return reverse("admin:jobs_job_thumbnail", args=[job.pk, 0])
