"""Pictures at public targets that are folders of this host. Others are served by whoever owns the storage."""

from __future__ import annotations

import uuid

from django.http import FileResponse, Http404, HttpRequest
from django.urls import path
from django.views.decorators.http import require_safe

from jobs.models import Output

from .models import LOCAL, Visibility

A_YEAR_S = 365 * 24 * 3600


@require_safe
def picture(request: HttpRequest, job_id: uuid.UUID, name: str) -> FileResponse:
    """The name is looked up among the job's, never on the disk."""
    public = {"job__storage_target__storage": LOCAL, "job__storage_target__visibility": Visibility.PUBLIC}
    outputs = Output.objects.select_related("job__storage_target").filter(job=job_id, **public)
    found = next((output for output in outputs if output.target_name.endswith(f"/{name}")), None)
    if found is None or found.job.storage_target is None:
        raise Http404
    try:
        file = found.job.storage_target.files.open(found.target_name)
    except FileNotFoundError:
        raise Http404 from None
    headers = {"Cache-Control": f"public, max-age={A_YEAR_S}, immutable"}
    return FileResponse(file, content_type=found.content_type, headers=headers)


urlpatterns = [path("targets/<uuid:job_id>/<str:name>", picture, name="target-picture")]
