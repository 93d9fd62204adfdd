"""JSON bodies of the playground's script."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from django.utils.translation import gettext as _


class InvalidBody(Exception):
    """``status`` is that of the response; the message is shown to users."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def read_object(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of the body. Raises InvalidBody."""
    try:
        body = json.loads(request.body)
    except RequestDataTooBig:
        raise InvalidBody(_("The request body is too large."), 413) from None
    except (ValueError, RecursionError):
        raise InvalidBody(_("The body is not JSON."), 400) from None
    if not isinstance(body, dict) or _has_nul(body):
        raise InvalidBody(_("The body must be a JSON object."), 422)
    return body


def _has_nul(value: Any) -> bool:
    """Whether a text has a NUL character, which a database cannot compare."""
    if isinstance(value, dict):
        return any(map(_has_nul, [*value, *value.values()]))
    return any(map(_has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value
