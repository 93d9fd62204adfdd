"""Base classes of this dialect's views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rest_framework.request import Request

from dialects.http import DialectView, NotFoundView
from jobs.admission import idempotency
from jobs.admission.admit import admit, admitted_with
from jobs.admission.submission import Submission
from jobs.models import Job

from .authentication import DIALECT, KeyHeaders
from .errors import WireError, answer
from .field_names import V2, Names


class ZhiqiteView(DialectView):
    authentication_classes = [KeyHeaders]
    schema = None
    wire_names: Names = V2
    error_response = staticmethod(answer)

    def admitted(self, request: Request, read: Callable[[], Submission]) -> Job:
        """The job. The same Idempotency-Key gets the same one, and fetches no picture for it again."""
        known = idempotency.read(request._request)
        return admitted_with(self.key.source, DIALECT, known) or admit(replace(read(), idempotency=known))


class NotFound(NotFoundView, ZhiqiteView):
    def not_found(self) -> Exception:
        return WireError("Not Found", status=404)
