"""View for images at public, local storage targets. Other targets are served by their own storage."""

from __future__ import annotations

import uuid
from pathlib import PurePosixPath

from django.http import FileResponse, Http404, HttpRequest
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from jobs.models import Output
from jobs.models.storage_target import LOCAL, Visibility

A_YEAR_S = 365 * 24 * 3600


@csrf_exempt
@require_safe
def output(request: HttpRequest, name: str) -> FileResponse:
    """Serve one image. The name must be that of a known output; the file system is not searched."""
    public = {"job__storage_target__storage": LOCAL, "job__storage_target__visibility": Visibility.PUBLIC}
    outputs = Output.objects.select_related("job__storage_target").filter(**public)
    found = outputs.filter(job=_job_in(name), target_name=name).first()
    if found is None or found.job.storage_target is None:
        raise Http404
    try:
        file = found.job.storage_target.files.open(found.target_name)
    except FileNotFoundError:
        raise Http404 from None
    headers = {"Cache-Control": f"public, max-age={A_YEAR_S}, immutable"}
    return FileResponse(file, content_type=found.content_type, headers=headers)


def _job_in(name: str) -> uuid.UUID:
    """Job id in a file name: the name of its parent folder. Raises Http404."""
    try:
        return uuid.UUID(PurePosixPath(name).parent.name)
    except ValueError:
        raise Http404 from None


urlpatterns = [path("targets/<path:name>", output, name="target-picture")]
