"""Downloads of trained files: signed URLs that expire, while the source has the LoRA and may download it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.files import File
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path, reverse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from jobs.images.signed_urls import allowed_until, expiring_token
from jobs.images.video.ranges import file_response
from jobs.models import Training
from models_registry.models import ModelFile

from .selectors import is_available

SUBJECT = "trained-file"
CONTENT_TYPE = "application/octet-stream"


def file_url(training: Training, base_url: str) -> str | None:
    """Absolute URL of the file, for as long as URLs of images are valid. None if there is none to download."""
    if not may_download(training):
        return None
    token = expiring_token(training.pk, SUBJECT)
    return base_url + reverse("trained-file", args=[training.pk, token, training.name])


def may_download(training: Training) -> bool:
    """Whether there is a file, and the source may download it."""
    return is_available(training) and training.job.source.trained_file_downloads


def download_note(training: Training) -> str | None:
    """Why a finished training has a LoRA and no URL of its file; None otherwise."""
    if not is_available(training) or training.job.source.trained_file_downloads:
        return None
    return _("Downloads of trained models are disabled for this source.")


def response_of(request: HttpRequest, training: Training) -> HttpResponseBase:
    """The file, as an attachment. Raises Http404 if it is not there."""
    file = training.file
    if file is None or not may_download(training):
        raise Http404
    tag = f'"{file.sha256}"'
    response = get_conditional_response(request, etag=tag) or _content(request, file)
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"  # it may be deleted or forbidden at any time
    response["Content-Disposition"] = f'attachment; filename="{training.name}.safetensors"'
    return response


@csrf_exempt  # so that a POST is answered with 405, not with a CSRF error
@require_safe
def signed_file(request: HttpRequest, job_id: uuid.UUID, token: str, name: str) -> HttpResponseBase:
    """The file of a signed URL. Any invalid URL is a 404."""
    if not allowed_until(job_id, SUBJECT, token):
        raise Http404
    found = Training.objects.select_related("job__source", "file").filter(pk=job_id, name=name).first()
    if found is None:
        raise Http404
    return response_of(request, found)


def _content(request: HttpRequest, file: ModelFile) -> HttpResponseBase:
    try:
        content = (settings.MODELS_ROOT / file.path).open("rb")
    except FileNotFoundError:
        raise Http404 from None
    return file_response(request, File(content), CONTENT_TYPE, file.size_bytes)


urlpatterns = [
    path("trained/<uuid:job_id>/<str:token>/<str:name>.safetensors", signed_file, name="trained-file"),
]
