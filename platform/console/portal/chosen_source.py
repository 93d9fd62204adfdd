"""The business source that a page of the portal is about: the one that the user chooses, or has chosen before."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from access.models import BusinessSource
from access.tenancy import visible_sources
from console.admin_base.last_source import first_source, remember_source

PARAMETER = "source"
VIEW_SOURCE = "access.view_businesssource"


def chosen_source(request: HttpRequest) -> BusinessSource | None:
    """The source of ``?source=NAME``, or the one with which pages begin; None if the user has none.

    Raises Http404 for a source that the user may not see, and PermissionDenied for users who may see none.
    """
    if not request.user.has_perm(VIEW_SOURCE):
        raise PermissionDenied
    sources = _sources(request)
    name = request.GET.get(PARAMETER, "")
    if not name:
        return first_source(request, sources)
    found = sources.filter(name=name).first() if "\0" not in name else None
    if found is None:
        raise Http404
    remember_source(request, found)
    return found


def page_context(request: HttpRequest, title: str, source: BusinessSource | None) -> dict[str, Any]:
    """Template context of every page of the portal."""
    return {
        **admin.site.each_context(request),
        "title": title,
        "source": source,
        "sources": list(_sources(request).only("name", "title")),
    }


def _sources(request: HttpRequest) -> Any:
    sources = visible_sources(request.user)
    return (BusinessSource.objects.all() if sources is None else sources).order_by("name")
