"""Covers of model files in the console: shown on cards, uploaded and removed on the page of a file."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import condition

from console.admin_base.base import ConsoleAdmin, visible_object
from jobs.errors import InvalidImage
from jobs.images import input_files
from models_registry.facts.cover import cover_jpeg
from models_registry.models import ModelCover, ModelFile
from models_registry.scanning.description import store_cover

MAX_BYTES = 10 * 1024 * 1024
CACHE_S = 3600


class CoverMixin(ConsoleAdmin):
    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_cover"
        view = self.admin_site.admin_view
        return [
            path("<int:object_id>/cover/", view(self.cover), name=name),
            path("<int:object_id>/cover/set/", view(self.set_cover), name=f"{name}_set"),
            *super().get_urls(),
        ]

    def cover(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The cover as JPEG. 404 for files that the user may not see."""
        visible_object(self, request, str(object_id))
        cover = ModelCover.objects.filter(file_id=object_id).first()
        if cover is None:
            raise Http404

        @condition(etag_func=lambda _request: f'"{cover.sha256}"')
        def image(_request: HttpRequest) -> HttpResponse:
            headers = {"Cache-Control": f"private, max-age={CACHE_S}", "X-Content-Type-Options": "nosniff"}
            return HttpResponse(bytes(cover.jpeg), content_type="image/jpeg", headers=headers)

        return image(request)

    def set_cover(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Store an uploaded image as cover; without an image, go back to the one of the file."""
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        file: ModelFile = visible_object(self, request, str(object_id))
        upload = request.FILES.get("image")
        if upload is not None:
            self._store_upload(request, file, upload)
        else:
            ModelCover.objects.filter(file_id=file.pk).delete()
            store_cover(file, file.metadata)
            self.log_change(request, file, "cover removed")
            messages.success(request, _("The uploaded cover was removed."))
        page = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[object_id])
        return HttpResponseRedirect(page)

    def _store_upload(self, request: HttpRequest, file: ModelFile, upload: Any) -> None:
        if upload.size > MAX_BYTES:
            limit = {"limit": MAX_BYTES >> 20}
            messages.error(request, _("A cover may have at most %(limit)d MB.") % limit)
            return
        data = upload.read()
        try:
            input_files.check_image(data)
            jpeg = cover_jpeg(input_files.open_image(data))
        except InvalidImage as refused:
            messages.error(request, refused.message)
            return
        ModelCover.store(file, ModelCover.Origin.UPLOAD, jpeg)
        self.log_change(request, file, "cover uploaded")
        messages.success(request, _("The cover was stored."))


def cover_urls(files: list[ModelFile], samples: dict[int, str]) -> dict[int, str]:
    """Image of each file's card by its primary key: an uploaded cover, that of the file, or its newest sample."""
    covers = ModelCover.objects.filter(file__in=files).values_list("file_id", "sha256")
    return samples | {pk: f"{_address(pk)}?v={sha256[:8]}" for pk, sha256 in covers}


def _address(pk: int) -> str:
    return reverse("admin:models_registry_modelfile_cover", args=[pk])
