"""Base classes of this dialect's views."""

from __future__ import annotations

from django.utils.translation import gettext as _

from dialects.http import DialectView, NotFoundView

from .errors import Code, WireError, answer


class SmzdmView(DialectView):
    """The body names the caller, so each view authenticates after it has read the body."""

    authentication_classes = []
    error_response = staticmethod(answer)


class NotFound(NotFoundView, SmzdmView):
    def not_found(self) -> Exception:
        return WireError(Code.UNSUPPORTED, _("There is no such address here."))
