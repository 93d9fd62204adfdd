"""Base views of the stablediffusionapi.com dialect."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import BusinessSource
from dialects.http import OUTAGE_RETRY_S, DialectView, NotFoundView
from jobs.errors import RateLimited
from jobs.images.signed_urls import base_url

from .authentication import authenticate_request
from .endpoints import edition_of
from .errors import WireError, exception_response
from .refusals import refusal
from .request.parameters import read_parameters


class StableDiffusionApiView(DialectView):
    """Base view. ``given`` contains the parameters of body and query."""

    authentication_classes = []

    path = ""  # relative to /api/
    given: dict[str, Any]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.check_method(request)
        self.given = read_parameters(request._request)
        try:
            request.auth = authenticate_request(request._request, self.given)
        except RateLimited as refused:
            raise refusal(refused, self.edition, "") from None

    def error_response(self, error: Exception, _context: dict[str, Any]) -> Response:
        return exception_response(error, self.edition)

    def unavailable(self, message: str) -> WireError:
        error = WireError(503, message)
        error.headers["Retry-After"] = str(OUTAGE_RETRY_S)
        return error

    @property
    def edition(self) -> str:
        return edition_of(self.path or self.kwargs.get("path", ""))

    @property
    def source(self) -> BusinessSource:
        return self.key.source

    @property
    def base_url(self) -> str:
        return base_url(self.request._request)


class NotFound(NotFoundView, StableDiffusionApiView):
    def not_found(self) -> Exception:
        return WireError(404, _("Endpoint not found."), is_real=True)
