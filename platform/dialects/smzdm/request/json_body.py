"""The JSON body of a request. What is null or empty counts as not sent: clients send every field of a form."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from dialects.http import BadBody, parse_object
from dialects.smzdm.errors import Code, WireError


def read_object(request: HttpRequest) -> dict[str, Any]:
    try:
        value = parse_object(request.body)
    except BadBody as error:
        raise WireError(Code.PARAMETER, error.message) from None
    return {name: part for name, part in value.items() if part is not None and part != ""}
