"""The page *Setup*: a checklist of what the installation lacks, and a button that installs the shipped presets."""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from access.tenancy import is_tenant
from jobs import shipped_setup

from .checklist import checks

VIEW = "jobs.view_runner"
INSTALL = (
    "models_registry.add_stylepreset",
    "models_registry.add_promptstyle",
    "models_registry.change_modelfile",
    "jobs.add_storagetarget",
)  # what the button creates and changes


def may_view(request: HttpRequest) -> bool:
    return request.user.has_perm(VIEW) and not is_tenant(request.user)


def may_install(request: HttpRequest) -> bool:
    return request.user.has_perms(INSTALL) and not is_tenant(request.user)


def page(request: HttpRequest) -> HttpResponse:
    if not may_view(request):
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": _("Setup"),
        "checks": checks(),
        "may_install": may_install(request),
    }
    return render(request, "admin/setup.html", context)


def install(request: HttpRequest) -> HttpResponseRedirect:
    """Install the shipped presets, and say what was created and which files are missing."""
    if request.method != "POST" or not may_install(request):
        raise PermissionDenied
    installed = shipped_setup.install()
    counts = {
        "presets": len(installed.presets),
        "styles": len(installed.prompt_styles),
        "targets": len(installed.storage_targets),
        "aliases": len(installed.aliases),
    }
    message = _(
        "Created: %(presets)d style presets, %(styles)d prompt styles, %(targets)d storage targets, "
        "%(aliases)d aliases."
    )
    messages.success(request, message % counts)
    for name, file in installed.aliases.items():
        messages.info(request, _("%(name)s is now another name of %(file)s.") % {"name": name, "file": file})
    if installed.missing:
        names = ", ".join(installed.missing)
        messages.warning(
            request,
            _("The registry lacks these files of the vendors' examples: %(names)s.") % {"names": names},
        )
    return HttpResponseRedirect(reverse("console:setup"))
