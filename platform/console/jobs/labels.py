"""Page that reads the labels of an uploaded image or video and finds the job that drew it, among those the user may see."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminFileFieldWidget

from access.tenancy import visible_sources
from console.admin_base.action_form import ActionForm
from jobs.errors import InvalidImage
from jobs.images.input_files import MAX_INPUT_BYTES
from jobs.images.label_report import LabelReport, report


class ImageForm(ActionForm):
    file = forms.FileField(label=gettext_lazy("image or video"), widget=UnfoldAdminFileFieldWidget())


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("jobs.view_output"):
        raise PermissionDenied
    found: LabelReport | None = None
    form = ImageForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            if file.size > MAX_INPUT_BYTES:
                raise InvalidImage(_("The file is too large."))
            found = report(file.read(), visible_sources(request.user))
        except InvalidImage as refused:
            form.add_error("file", refused.message)
    context = {**admin.site.each_context(request), "title": _("Read labels"), "form": form, "found": found}
    return render(request, "admin/read_labels.html", context)
