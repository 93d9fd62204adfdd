"""Pictures at public targets that are folders of this host. Others are served by whoever owns the storage."""

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
def picture(request: HttpRequest, name: str) -> FileResponse:
    """The name is looked up among those that the job's pictures have, never on the disk."""
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
    """Pictures lie in a folder of their job's."""
    try:
        return uuid.UUID(PurePosixPath(name).parent.name)
    except ValueError:
        raise Http404 from None


urlpatterns = [path("targets/<path:name>", picture, name="target-picture")]
