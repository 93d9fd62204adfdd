"""API pages: endpoints, fields, examples, errors and limits of each dialect that a source may use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from access.keys.console_keys import is_console_key
from access.models import AccessKey, BusinessSource
from console.tenants.roles import SUBMIT_JOBS
from jobs.api_reference import dialects
from jobs.api_reference.contexts import context_of
from jobs.api_reference.examples.languages import LANGUAGES
from jobs.images.signed_urls import base_url

from .chosen_source import PARAMETER, chosen_source, page_context
from .keys import LIMITS, VIEW_KEYS

KEY = "key"


def page(request: HttpRequest, dialect: str = "") -> HttpResponse:
    if not request.user.has_perm(VIEW_KEYS):
        raise PermissionDenied
    source = chosen_source(request)
    context = page_context(request, _("API"), source)
    if source is None:
        return render(request, "admin/portal/api.html", context)
    keys = [key for key in _keys(source) if not is_console_key(key)]
    key = _chosen_key(request, keys)
    names = dialects.allowed(source, key)
    if dialect and dialect not in names:
        raise Http404
    context |= {
        "keys": keys,
        "key": key,
        "query": _query(source, key),
        "tabs": [(name, reverse("console:api", args=[name])) for name in names],
        "dialect": dialect or (names[0] if names else ""),
    }
    if context["dialect"]:
        context |= _page_of(request, context["dialect"], source, key)
    return render(request, "admin/portal/api.html", context)


def _page_of(
    request: HttpRequest, dialect: str, source: BusinessSource, key: AccessKey | None
) -> dict[str, Any]:
    base = base_url(request)
    found = dialects.get(dialect).reference(context_of(source, key, base))
    return {
        "reference": found,
        "examples": [(each.key, each.title, each.file, each.render(found.call)) for each in LANGUAGES],
        "limits": list(_limits(source, key)),
        "links": [(link.title, base + link.path) for link in found.links],
        "may_try": request.user.has_perm(SUBMIT_JOBS) and source.allows_dialect(dialects.NATIVE),
    }


def _keys(source: BusinessSource) -> Any:
    keys = AccessKey.objects.filter(source=source, enabled=True, session_token=None)
    return keys.defer("secret").order_by("-created_at")


def _chosen_key(request: HttpRequest, keys: list[AccessKey]) -> AccessKey | None:
    """The key of ``?key=ID``, or the newest one. Raises Http404 for a key that is not one of ``keys``."""
    key_id = request.GET.get(KEY, "")
    if not key_id:
        return keys[0] if keys else None
    found = next((key for key in keys if key.key_id == key_id), None)
    if found is None:
        raise Http404
    return found


def _query(source: BusinessSource, key: AccessKey | None) -> str:
    return f"?{PARAMETER}={source.name}" + (f"&{KEY}={key.key_id}" if key else "")


def _limits(source: BusinessSource, key: AccessKey | None) -> Iterator[tuple[str, object, object]]:
    """Name, limit of the source and limit of the key, of those that are set."""
    for name in LIMITS:
        of_source, of_key = getattr(source, name), getattr(key, name, None)
        if of_source is not None or of_key is not None:
            yield str(source._meta.get_field(name).verbose_name), of_source, of_key  # type: ignore[union-attr]
