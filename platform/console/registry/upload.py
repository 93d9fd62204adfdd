"""Upload of a model file from the browser to the registry, in chunks, so that the page can show the progress."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from console.admin_base.action_form import ActionForm
from console.admin_base.base import ConsoleAdmin
from models_registry.models import FOLDERS, Kind
from models_registry.scanning import resumable_upload
from models_registry.scanning.file_discovery import SUFFIXES
from models_registry.scanning.install_file import InstallError
from models_registry.scanning.resumable_upload import Upload

from .permissions import check, may

TOKEN_HEADER = "X-Upload"
UNPROCESSABLE = 422

View = Callable[..., HttpResponse]


def _json_errors(view: View) -> View:
    """Check the permission, and return InstallError as JSON, with the received size if the upload can be resumed."""

    @wraps(view)
    def wrapped(page: UploadMixin, request: HttpRequest) -> HttpResponse:
        check(request, page, "add")
        try:
            return view(page, request)
        except InstallError as error:
            body: dict[str, Any] = {"error": error.message}
            if error.received is not None:
                body["received"] = error.received
            return JsonResponse(body, status=UNPROCESSABLE)

    return wrapped


class UploadMixin(ConsoleAdmin):
    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_upload"
        steps = {"begin": self.upload_begin, "append": self.upload_append}
        steps |= {"finish": self.upload_finish, "cancel": self.upload_cancel}
        view = self.admin_site.admin_view
        return [
            path("upload/", view(self.upload_page), name=name),
            *(path(f"upload/{step}/", view(to), name=f"{name}_{step}") for step, to in steps.items()),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {"may_upload": may(request, self, "add")}
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def upload_page(self, request: HttpRequest) -> TemplateResponse:
        if not may(request, self, "add"):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("Upload a model file"),
            "opts": self.opts,
            "form": UploadForm(initial={"kind": self.model.KIND}),
            "base": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_upload"),
        }
        return TemplateResponse(request, "admin/models_registry/upload.html", context)

    @_json_errors
    def upload_begin(self, request: HttpRequest) -> JsonResponse:
        size = request.POST.get("size", "")
        if not (size.isascii() and size.isdigit() and len(size) < 19):
            raise InstallError(_("The size is missing."))
        kind, name = request.POST.get("kind", ""), request.POST.get("name", "")
        upload = resumable_upload.begin(kind, name, int(size), _user_id(request))
        return JsonResponse({"upload": upload.token, "chunk_bytes": resumable_upload.CHUNK_BYTES})

    @_json_errors
    def upload_append(self, request: HttpRequest) -> JsonResponse:
        offset = request.headers.get("X-Offset", "")
        if not (offset.isascii() and offset.isdigit() and len(offset) < 19):
            raise InstallError(_("The offset is missing."))
        upload = _upload(request)
        try:
            return JsonResponse({"received": resumable_upload.append(upload, int(offset), request)})
        except UnreadablePostError as error:  # the client disconnected; the received part is kept
            raise InstallError(_("The connection was lost.")) from error

    @_json_errors
    def upload_finish(self, request: HttpRequest) -> JsonResponse:
        file = resumable_upload.finish(_upload(request))
        self.log_addition(request, file, "uploaded")
        self.message_user(request, _("%(name)s was added to the registry.") % {"name": file.name})
        return JsonResponse({"page": reverse("admin:models_registry_modelfile_change", args=[file.pk])})

    @_json_errors
    def upload_cancel(self, request: HttpRequest) -> JsonResponse:
        with suppress(InstallError):  # already finished or cancelled
            resumable_upload.cancel(_upload(request))
        return JsonResponse({})


class UploadForm(ActionForm):
    kind = forms.ChoiceField(
        label=gettext_lazy("kind"),
        choices=[(kind, Kind(kind).label) for kind in FOLDERS],
        widget=UnfoldAdminSelectWidget,
    )
    file = forms.FileField(
        label=gettext_lazy("file"),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ",".join(sorted(SUFFIXES))}),
    )


def _upload(request: HttpRequest) -> Upload:
    return resumable_upload.find(request.headers.get(TOKEN_HEADER, ""), _user_id(request))


def _user_id(request: HttpRequest) -> int:
    return int(request.user.pk or 0)
