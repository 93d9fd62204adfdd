"""Who changed or looked at what. One place sees every request to the console, so that no page can forget to tell.

Noted are every deed (whatever is no GET), and every look at one object's page or at an export; not the lists, and not
what a page asks for by itself. Of a form's fields only an action's name and the rows it was for are kept, so that no
secret gets into the trail.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from console.models import AuditEntry

PREFIX = "/admin/"
ACTION, SELECTED = "action", "_selected_action"
ROWS_NAMED = 5
READS = frozenset({"GET", "HEAD", "OPTIONS"})
BY_ITSELF = ("_thumbnail", "_live", "_progress", "_preview", "_events")  # the ends of names of such URLs
PIECES = ("_append", "_preview")  # of an upload, whose beginning and end are noted; of words being written
EXPORTS = ("_export", "_statement", "_csv", "_xlsx")
SIGN_IN_AND_OUT = frozenset({"login", "logout", "jsi18n", "autocomplete", "search"})


class AuditTrail:
    """Middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if request.path.startswith(PREFIX):
            _note(request, response.status_code)
        return response


def _note(request: HttpRequest, status: int) -> None:
    match = request.resolver_match
    user = getattr(request, "user", None)
    if match is None or user is None or not user.is_authenticated:
        return
    page = match.url_name or ""
    if page in SIGN_IN_AND_OUT or not _is_worth_noting(request, page, match.kwargs):
        return
    is_look = request.method in READS
    _write(
        request,
        AuditEntry.Kind.LOOK if is_look else AuditEntry.Kind.DEED,
        user=user,
        username=user.get_username(),
        page=page[:100],
        object_id=str(next(iter(match.kwargs.values()), ""))[:64],
        detail="" if is_look else _said(request)[:300],
        status=status,
    )


def _is_worth_noting(request: HttpRequest, page: str, kwargs: dict[str, Any]) -> bool:
    if request.method not in READS:
        return not page.endswith(PIECES)
    return page.endswith(EXPORTS) or (
        bool(kwargs) and "app_label" not in kwargs and not page.endswith(BY_ITSELF)
    )


def _said(request: HttpRequest) -> str:
    action = request.POST.get(ACTION, "")
    rows = request.POST.getlist(SELECTED)
    if not action:
        return ""
    more = f" +{len(rows) - ROWS_NAMED}" if len(rows) > ROWS_NAMED else ""
    return f"{action}: {', '.join(rows[:ROWS_NAMED])}{more}"


def _write(request: HttpRequest | None, kind: AuditEntry.Kind, **fields: Any) -> None:
    address = request.META.get("REMOTE_ADDR", "")[:45] if request else ""
    AuditEntry.objects.create(kind=kind, address=address, **fields)


def _signed_in(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    _write(request, AuditEntry.Kind.SIGN_IN, user=user, username=user.get_username())


def _signed_out(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    if user is not None:
        _write(request, AuditEntry.Kind.SIGN_OUT, user=user, username=user.get_username())


def _refused(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Without the name that was tried: people type passwords there."""
    _write(request, AuditEntry.Kind.REFUSED_SIGN_IN, status=403)


def watch_sign_ins() -> None:
    user_logged_in.connect(_signed_in, dispatch_uid="console.audit")
    user_logged_out.connect(_signed_out, dispatch_uid="console.audit")
    user_login_failed.connect(_refused, dispatch_uid="console.audit")


def forget_old() -> int:
    """What is older than AUDIT_KEEP_DAYS; the background cluster calls it once a day."""
    over = timezone.now() - timedelta(days=settings.AUDIT_KEEP_DAYS)
    deleted, _per_model = AuditEntry.objects.filter(created_at__lt=over).delete()
    return deleted
