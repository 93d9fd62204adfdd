"""Error responses. Old editions send them with HTTP 200, because their clients read the body only then."""

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
    """An error response. ``status`` is the HTTP status in new editions, and with ``is_real`` in all.

    ``message`` is a text, or the messages of each invalid field; ``more`` are further members of the body.
    """

    def __init__(self, status: int, message: Message, *, is_real: bool = False, **more: Any) -> None:
        super().__init__(str(message))
        self.status = status
        self.message = message
        self.is_real = is_real
        self.more = more
        self.headers: dict[str, str] = {}

    @classmethod
    def invalid(cls, messages: dict[str, list[str]]) -> WireError:
        """The error of invalid fields, with the messages of each."""
        return cls(400, messages)

    def response(self, edition: str) -> Response:
        is_new = edition in NEW_EDITIONS
        message = self.message
        if is_new and isinstance(message, dict):
            message = next(iter(message.values()))[0]
        body = {"status": "error", **message_fields(message), **self.more}
        real = self.is_real or is_new or settings.STABLEDIFFUSIONAPI_REAL_STATUS
        return Response(body, status=self.status if real else 200, headers=self.headers)


def message_fields(message: Message) -> dict[str, Message]:
    """A message under both of the vendor's names: the misspelled one of old editions, and the current one."""
    return {"messege": message, "message": message}


def exception_response(error: Exception, edition: str) -> Response:
    """The response to an exception. Unexpected ones are logged; the client gets no details."""
    match error:
        case WireError():
            return error.response(edition)
        case RequestDataTooBig():
            return WireError(413, _("The request body is too large.")).response(edition)
        case SuspiciousOperation() | UnreadablePostError() | MultiPartParserError():
            return WireError(400, _("The request body cannot be read.")).response(edition)
        case MethodNotAllowed():
            return WireError(405, _("Method not allowed."), is_real=True).response(edition)
        case APIException():
            return WireError(error.status_code, str(error.detail)).response(edition)
    log.exception("Unexpected error", exc_info=error)
    return WireError(500, "Internal server error. Please try again.").response(edition)
