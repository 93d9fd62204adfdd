"""Base views of the SMZDM dialect."""

from __future__ import annotations

from django.utils.translation import gettext as _

from dialects.http import OUTAGE_RETRY_S, DialectView, NotFoundView

from .errors import Code, WireError, exception_response


class SmzdmView(DialectView):
    """Base view. The caller is identified in the body, so views authenticate after parsing it."""

    authentication_classes = []
    error_response = staticmethod(exception_response)

    def unavailable(self, message: str) -> WireError:
        return WireError(Code.BUSY, message, OUTAGE_RETRY_S)


class NotFound(NotFoundView, SmzdmView):
    def not_found(self) -> Exception:
        return WireError(Code.UNSUPPORTED, _("Endpoint not found."))
