"""Base views of the Zhiqite dialect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rest_framework.request import Request

from dialects.http import OUTAGE_RETRY_S, DialectView, NotFoundView
from jobs.admission.admit import admit, find_replay
from jobs.admission.submission import Submission
from jobs.models import Job

from .authentication import DIALECT, KeyHeaders
from .errors import WireError, exception_response
from .field_names import V2, Names


class ZhiqiteView(DialectView):
    authentication_classes = [KeyHeaders]
    schema = None
    wire_names: Names = V2
    error_response = staticmethod(exception_response)

    def unavailable(self, message: str) -> WireError:
        return WireError(message, status=503, headers={"Retry-After": str(OUTAGE_RETRY_S)})

    def admitted(self, request: Request, read: Callable[[], Submission]) -> Job:
        """Return the existing job of this Idempotency-Key, or admit a new one from ``read()``."""
        replay = find_replay(self.key.source, DIALECT, request._request)
        return replay.job or admit(replace(read(), idempotency=replay.idempotency))


class NotFound(NotFoundView, ZhiqiteView):
    def not_found(self) -> Exception:
        return WireError("Not Found", status=404)
