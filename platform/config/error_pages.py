"""Error pages in the console's design, for browsers that open a page.

Paths of an API, and clients that do not ask for HTML, get Django's short responses. The pages need neither the
database nor the session, and show nothing of the exception.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views import csrf, defaults

from dialects.http import OUTAGE_RETRY_S
from gpu_runner import logs
from jobs.images.signed_urls import public_path

# Their responses have the error format of a dialect, or are read by programs.
API_PATHS = (
    "/api/",
    "/v1/",
    "/sdapi/",
    "/controlnet/",
    "/internal/",
    "/AIGCImgOpenServ/",
    "/pictures/",
    "/healthz",
    "/readyz",
    "/metrics",
)


class ErrorText(NamedTuple):
    title: str | Promise
    explanation: str | Promise


TEXTS = {
    400: ErrorText(
        gettext_lazy("The request is not valid"),
        gettext_lazy("The address or the data of the request cannot be used. Go back and try again."),
    ),
    403: ErrorText(
        gettext_lazy("You may not open this page"),
        gettext_lazy("Your role does not allow this. Ask an administrator of this installation."),
    ),
    404: ErrorText(
        gettext_lazy("This page does not exist"),
        gettext_lazy("The address is wrong, what it names was deleted, or it belongs to somebody else."),
    ),
    500: ErrorText(
        gettext_lazy("The server failed to process the request"),
        gettext_lazy("The error was logged. If it occurs again, tell an operator the number of the request."),
    ),
    503: ErrorText(
        gettext_lazy("The database is not reachable"),
        gettext_lazy(
            "The service is temporarily unavailable. Nothing was changed; try again in a few seconds."
        ),
    ),
}
CSRF = ErrorText(
    gettext_lazy("The form has expired"),
    gettext_lazy(
        "The request did not have the token that protects forms, or you have signed in again since the page was "
        "opened. Open the page again and repeat what you did."
    ),
)


def wants_page(request: HttpRequest) -> bool:
    """Whether the client is a browser that opens a page."""
    return "text/html" in request.headers.get("Accept", "") and not request.path.startswith(API_PATHS)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return _page(400) if wants_page(request) else defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return _page(403) if wants_page(request) else defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return _page(404) if wants_page(request) else defaults.page_not_found(request, exception)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    return _page(403, CSRF) if wants_page(request) else csrf.csrf_failure(request, reason)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Response to an unexpected exception; a lost connection to the database before a view is called is a 503."""
    error = sys.exc_info()[1]
    if isinstance(error, OperationalError | InterfaceError):
        return database_outage(request)
    return _page(500) if wants_page(request) else defaults.server_error(request)


def database_outage(request: HttpRequest) -> HttpResponse:
    if wants_page(request):
        response = _page(503)
    else:
        text = _("The service is temporarily unavailable. Try again in a few seconds.")
        response = HttpResponse(text, status=503, content_type="text/plain; charset=utf-8")
    response["Retry-After"] = str(OUTAGE_RETRY_S)
    return response


def _page(status: int, text: ErrorText | None = None) -> HttpResponse:
    title, explanation = text or TEXTS[status]
    context = {
        "status": status,
        "title": title,
        "explanation": explanation,
        "home": public_path(reverse("admin:index")),
        "request_id": logs.request.get(),
        "language": get_language() or "en",
    }
    # Without the request: context processors read the session and the user.
    response = HttpResponse(render_to_string("errors/page.html", context), status=status)
    response["Cache-Control"] = "no-store"
    return response
