"""What every route of this dialect does alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from django.http import HttpRequest
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.models import AccessKey

from .authentication import BasicKey
from .errors import answer


class WireJSON(JSONRenderer):
    """Nothing to say is ``null``: clients decode every answer."""

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        return b"null" if data is None else super().render(data, *args, **kwargs)


class AlwaysJSON(BaseContentNegotiation):
    """Whatever the client says it accepts: the original answers all in the one form that it has."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class WireView(APIView):
    http_method_names = ["get", "post"]  # HEAD and OPTIONS are 405 in the original
    authentication_classes = [BasicKey]
    renderer_classes = [WireJSON]
    content_negotiation_class = AlwaysJSON

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.began = time.perf_counter()
        super().setup(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """A wrong method is told before a wrong key."""
        method = str(request.method).lower()
        if method not in self.http_method_names or not hasattr(self, method):
            self.http_method_not_allowed(request)
        super().initial(request, *args, **kwargs)

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        return answer

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response["X-Process-Time"] = f"{time.perf_counter() - self.began:.4f}"
        return super().finalize_response(request, response, *args, **kwargs)

    @property
    def key(self) -> AccessKey:
        return cast(AccessKey, self.request.auth)
