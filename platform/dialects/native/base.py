"""What every route of this API does alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from pydantic import BaseModel
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.models import AccessKey

from .authentication import KeyAndSecret
from .console_session import ConsoleSession
from .errors import Problem, answer


class OneForm(BaseContentNegotiation):
    """Each address answers in one form, whatever the client says it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class NativeView(APIView):
    http_method_names = ["get", "post", "delete", "head"]
    authentication_classes = [ConsoleSession, KeyAndSecret]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = OneForm

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        return answer

    @property
    def key(self) -> AccessKey:
        return cast(AccessKey, self.request.auth)


class Elsewhere(NativeView):
    """Addresses that are no route."""

    authentication_classes = []
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise Problem.not_found()


def shown(document: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(document.model_dump(mode="json"), status=status, headers=headers)
