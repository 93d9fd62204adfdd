"""The only URL of this dialect: the site's root, with an Action in the query."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request

from dialects.http import OUTAGE_RETRY_S, DialectView, HostNotAllowed
from jobs.errors import Refused

from .actions import OPERATIONS
from .authentication import SignatureAuthentication
from .envelope import Envelope
from .errors import GatewayError, ServiceError, too_large, unreadable
from .operations import Operation, OperationContext
from .request.json_body import read_object
from .signature import ALGORITHM

log = logging.getLogger(__name__)


class Gateway(DialectView):
    http_method_names = ["get", "post"]
    authentication_classes = [SignatureAuthentication]

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.envelope = Envelope(request)
        super().setup(request, *args, **kwargs)

    def get(self, request: Request) -> HttpResponse:
        return self.post(request)

    def post(self, request: Request) -> HttpResponse:
        operation = self._operation(str(request.method))
        body = read_object(request._request)
        if operation.req_key and "req_key" not in body:
            body = body.replaced(req_key=operation.req_key)
        return cast(
            HttpResponse, operation.run(OperationContext(request._request, self.key, body, self.envelope))
        )

    def _operation(self, method: str) -> Operation:
        operation = OPERATIONS.get((self.envelope.version, self.envelope.action))
        if operation is None or (method == "GET" and not operation.allows_get):
            raise GatewayError("InvalidActionOrVersion", self.envelope.action, self.envelope.version)
        return operation

    def unavailable(self, message: str) -> GatewayError:
        return GatewayError("ServiceUnavailableTemp", headers={"Retry-After": str(OUTAGE_RETRY_S)})

    def error_response(self, error: Exception, _context: dict[str, Any]) -> HttpResponse:
        """Error response of an exception. Unexpected exceptions are logged; the client gets no details."""
        match error:
            case GatewayError():
                return self.envelope.gateway(error)
            case ServiceError():
                return self.envelope.refused(error)
            case Refused():
                return self.envelope.refused(ServiceError.of(error))
            case HostNotAllowed():
                return self.envelope.refused(ServiceError(50200, str(error.detail)))
            case RequestDataTooBig():
                return self.envelope.refused(too_large())
            case SuspiciousOperation() | UnreadablePostError():
                return self.envelope.refused(unreadable())
            case MethodNotAllowed():
                action, version = self.envelope.action, self.envelope.version
                return self.envelope.gateway(GatewayError("InvalidActionOrVersion", action, version))
        log.exception("Unexpected error in %s", self.envelope.action, exc_info=error)
        return self.envelope.refused(ServiceError(50500))


gateway = cast(Callable[[HttpRequest], HttpResponse], Gateway.as_view())


def is_addressed(request: HttpRequest) -> bool:
    """Whether a request to the site's root is for this dialect."""
    signed = request.headers.get("Authorization", "").startswith(ALGORITHM)
    return signed or bool({"Action", "Version"} & request.GET.keys())
