"""What every route of this dialect does alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.models import AccessKey
from jobs.admission import Submission, admit, find_replay
from jobs.models import Job

from .authentication import DIALECT, KeyHeaders
from .errors import WireError, answer
from .words import V2, Names


class AlwaysJSON(BaseContentNegotiation):
    """Whatever the client says it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class ZhiqiteView(APIView):
    http_method_names = ["post"]
    authentication_classes = [KeyHeaders]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = AlwaysJSON
    schema = None
    wire_names: Names = V2

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        return answer

    @property
    def key(self) -> AccessKey:
        return cast(AccessKey, self.request.auth)

    def admitted(self, request: Request, read: Callable[[], Submission]) -> Job:
        """The job that an earlier request with this Idempotency-Key became, or a new one of what ``read`` returns."""
        replay = find_replay(self.key.source, DIALECT, request._request)
        return replay.job or admit(replace(read(), idempotency=replay.idempotency))


class Elsewhere(ZhiqiteView):
    """Addresses that are no route."""

    authentication_classes = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise WireError("Not Found", status=404)
