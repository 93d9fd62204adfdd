"""Audit trail: a middleware records who viewed or changed what in the console, and signal receivers record sign-ins.

Recorded are all requests with an unsafe method, and GET requests for the page of one object or for an export. Lists and
requests that a page sends by itself (polling, thumbnails) are not recorded. Of form data, only the name of the action
and the primary keys of the selected rows are kept, so that no secret reaches the trail.
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
MAX_ROWS_LISTED = 5
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Suffixes of URL names.
POLLED = (
    "_thumbnail",
    "_live",
    "_progress",
    "_preview",
    "_events",
)  # sent by scripts and images, not by the user
UNRECORDED_POSTS = ("_append", "_preview")  # chunks of an upload, and previews of unsaved prompts
EXPORTS = ("_export", "_statement", "_csv", "_xlsx")
UNRECORDED_PAGES = frozenset(
    {"login", "logout", "jsi18n", "autocomplete", "search"}
)  # sign-ins come by signals


class AuditTrail:
    """Middleware that records requests to the console."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if request.path.startswith(PREFIX):
            _record(request, response.status_code)
        return response


def _record(request: HttpRequest, status: int) -> None:
    match = request.resolver_match
    user = getattr(request, "user", None)
    if match is None or user is None or not user.is_authenticated:
        return
    page = match.url_name or ""
    if page in UNRECORDED_PAGES or not _is_recorded(request, page, match.kwargs):
        return
    is_view = request.method in SAFE_METHODS
    _write(
        request,
        AuditEntry.Kind.VIEW if is_view else AuditEntry.Kind.CHANGE,
        user=user,
        username=user.get_username(),
        page=page[:100],
        object_id=str(next(iter(match.kwargs.values()), ""))[:64],
        detail="" if is_view else _action_summary(request)[:300],
        status=status,
    )


def _is_recorded(request: HttpRequest, page: str, kwargs: dict[str, Any]) -> bool:
    if request.method not in SAFE_METHODS:
        return not page.endswith(UNRECORDED_POSTS)
    return page.endswith(EXPORTS) or (
        bool(kwargs) and "app_label" not in kwargs and not page.endswith(POLLED)
    )


def _action_summary(request: HttpRequest) -> str:
    action = request.POST.get(ACTION, "")
    rows = request.POST.getlist(SELECTED)
    if not action:
        return ""
    more = f" +{len(rows) - MAX_ROWS_LISTED}" if len(rows) > MAX_ROWS_LISTED else ""
    return f"{action}: {', '.join(rows[:MAX_ROWS_LISTED])}{more}"


def _write(request: HttpRequest | None, kind: AuditEntry.Kind, **fields: Any) -> None:
    address = request.META.get("REMOTE_ADDR", "")[:45] if request else ""
    AuditEntry.objects.create(kind=kind, address=address, **fields)


def _signed_in(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    _write(request, AuditEntry.Kind.SIGN_IN, user=user, username=user.get_username())


def _signed_out(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    if user is not None:
        _write(request, AuditEntry.Kind.SIGN_OUT, user=user, username=user.get_username())


def _sign_in_failed(
    sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any
) -> None:
    # The submitted username is not recorded: users type passwords into that field by mistake.
    _write(request, AuditEntry.Kind.FAILED_SIGN_IN, status=403)


def connect_sign_in_signals() -> None:
    user_logged_in.connect(_signed_in, dispatch_uid="console.audit")
    user_logged_out.connect(_signed_out, dispatch_uid="console.audit")
    user_login_failed.connect(_sign_in_failed, dispatch_uid="console.audit")


def delete_old_entries() -> int:
    """Delete entries older than AUDIT_KEEP_DAYS and return their number. Scheduled daily."""
    oldest_kept = timezone.now() - timedelta(days=settings.AUDIT_KEEP_DAYS)
    deleted, _per_model = AuditEntry.objects.filter(created_at__lt=oldest_kept).delete()
    return deleted
