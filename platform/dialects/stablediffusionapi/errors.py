"""The error bodies of this API. Old editions answer them with HTTP 200, because their clients look at nothing else then."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, MethodNotAllowed
from rest_framework.response import Response

log = logging.getLogger(__name__)

NEW_EDITIONS = frozenset({"v6"})
Message = str | dict[str, list[str]]


class WireError(Exception):
    """``status`` is the code of new editions; ``is_real`` ones have it in all."""

    def __init__(self, status: int, message: Message, *, is_real: bool = False, **more: Any) -> None:
        super().__init__(str(message))
        self.status = status
        self.message = message
        self.is_real = is_real
        self.more = more
        self.headers: dict[str, str] = {}

    @classmethod
    def invalid(cls, wrong: dict[str, list[str]]) -> WireError:
        return cls(400, wrong)

    def response(self, edition: str) -> Response:
        is_new = edition in NEW_EDITIONS
        message = self.message
        if is_new and isinstance(message, dict):
            message = next(iter(message.values()))[0]
        body = {"status": "error", **worded(message), **self.more}
        real = self.is_real or is_new or settings.STABLEDIFFUSIONAPI_REAL_STATUS
        return Response(body, status=self.status if real else 200, headers=self.headers)


def worded(message: Message) -> dict[str, Message]:
    """Under the name that the vendor misspelt at first, and under the one it has now."""
    return {"messege": message, "message": message}


def answer(error: Exception, edition: str) -> Response:
    """Nothing of an unforeseen error reaches the client."""
    match error:
        case WireError():
            return error.response(edition)
        case RequestDataTooBig():
            return WireError(413, _("The request body is too large.")).response(edition)
        case SuspiciousOperation() | UnreadablePostError() | MultiPartParserError():
            return WireError(400, _("The request body cannot be read.")).response(edition)
        case MethodNotAllowed():
            return WireError(405, _("This address has other methods."), is_real=True).response(edition)
        case APIException():
            return WireError(error.status_code, str(error.detail)).response(edition)
    log.exception("Unforeseen error", exc_info=error)
    return WireError(500, "Internal server error. Please try again.").response(edition)
