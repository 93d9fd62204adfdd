"""What every route of this dialect does alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from .errors import answer


class AlwaysJSON(BaseContentNegotiation):
    """Whatever the client says it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class WireView(APIView):
    """Who calls is told by the body, so that each view authenticates for itself."""

    http_method_names = ["post"]
    authentication_classes = []
    renderer_classes = [JSONRenderer]
    content_negotiation_class = AlwaysJSON

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        return answer
