"""Base class of this dialect's views."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpRequest
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.http import OUTAGE_RETRY_S, DialectView

from .authentication import BasicKey
from .errors import WireError, exception_handler


class WireJSON(JSONRenderer):
    """JSON renderer that writes None as ``null``, because clients decode every response body."""

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        return b"null" if data is None else super().render(data, *args, **kwargs)


class A1111View(DialectView):
    http_method_names = ["get", "post"]  # the original returns 405 for HEAD and OPTIONS
    authentication_classes = [BasicKey]
    renderer_classes = [WireJSON]
    error_response = staticmethod(exception_handler)

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.began = time.perf_counter()
        super().setup(request, *args, **kwargs)

    def unavailable(self, message: str) -> WireError:
        return WireError(503, detail=message, headers={"Retry-After": str(OUTAGE_RETRY_S)})

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the method before authentication, so that 405 takes precedence over 401."""
        self.check_method(request)
        super().initial(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response["X-Process-Time"] = f"{time.perf_counter() - self.began:.4f}"
        return super().finalize_response(request, response, *args, **kwargs)
