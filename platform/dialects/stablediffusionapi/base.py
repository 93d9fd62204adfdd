"""What every address of this API does alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.models import AccessKey, BusinessSource
from jobs.errors import RateLimited
from jobs.images.signed_urls import base_url

from .authentication import caller
from .endpoints import edition_of
from .errors import answer
from .refusals import refusal
from .request.parameters import read_parameters


class AlwaysJSON(BaseContentNegotiation):
    """Whatever the client says it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class WireView(APIView):
    """``given`` are the parameters, wherever they came from; ``key`` is the caller's."""

    http_method_names = ["post"]
    authentication_classes = []
    renderer_classes = [JSONRenderer]
    content_negotiation_class = AlwaysJSON

    path = ""  # below /api/
    given: dict[str, Any]
    key: AccessKey

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        method = str(request.method).lower()
        if method not in self.http_method_names or not hasattr(self, method):
            self.http_method_not_allowed(request)
        self.given = read_parameters(request._request)
        try:
            self.key = caller(request._request, self.given)
        except RateLimited as refused:
            raise refusal(refused, self.edition, "") from None

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        return lambda error, _context: answer(error, self.edition)

    @property
    def edition(self) -> str:
        return edition_of(self.path or self.kwargs.get("path", ""))

    @property
    def source(self) -> BusinessSource:
        return self.key.source

    @property
    def base_url(self) -> str:
        return base_url(self.request._request)
