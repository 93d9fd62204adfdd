"""Permissions in the model registry. It is shared between tenants, so users of tenants have read-only access."""

from __future__ import annotations

from django.contrib.admin import ModelAdmin
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from access.tenancy import visible_sources


def may(request: HttpRequest, page: ModelAdmin, action: str) -> bool:
    """Whether the user has the permission for ``action`` (``add``, ``change``, …) and belongs to no tenant."""
    permission = f"{page.opts.app_label}.{get_permission_codename(action, page.opts)}"
    return visible_sources(request.user) is None and request.user.has_perm(permission)


def check(request: HttpRequest, page: ModelAdmin, action: str, method: str = "POST") -> None:
    """Raise PermissionDenied unless the user may do this and the request has the given HTTP method."""
    if request.method != method or not may(request, page, action):
        raise PermissionDenied
