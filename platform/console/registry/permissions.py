"""Who may do what to the registry. It is everybody's, so that a tenant's user only looks on, whatever the role says."""

from __future__ import annotations

from django.contrib.admin import ModelAdmin
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from access.tenancy import visible_sources


def may(request: HttpRequest, page: ModelAdmin, action: str) -> bool:
    permission = f"{page.opts.app_label}.{get_permission_codename(action, page.opts)}"
    return visible_sources(request.user) is None and request.user.has_perm(permission)


def check(request: HttpRequest, page: ModelAdmin, action: str, method: str = "POST") -> None:
    """Raises PermissionDenied. A link never changes anything."""
    if request.method != method or not may(request, page, action):
        raise PermissionDenied
