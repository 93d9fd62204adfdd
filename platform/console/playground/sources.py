"""Sources that a user may use in the playground."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from access.models import BusinessSource
from access.tenancy import visible_sources
from console.tenants.roles import SUBMIT_JOBS


def usable_sources(request: HttpRequest) -> QuerySet[BusinessSource]:
    """Enabled sources of the user, by name. Raises PermissionDenied if the user may not submit jobs."""
    if not request.user.has_perm(SUBMIT_JOBS):
        raise PermissionDenied
    sources = visible_sources(request.user)
    sources = BusinessSource.objects.all() if sources is None else sources
    return sources.filter(enabled=True).order_by("name")


def named_source(request: HttpRequest, name: str) -> BusinessSource:
    """The source with this name. Raises Http404 if the user may not use it."""
    source = usable_sources(request).filter(name=name).first() if "\0" not in name else None
    if source is None:
        raise Http404
    return source
