"""Parse the JSON body. Null counts as absent, as for the vendor's clients, which send every field."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from dialects.ark.errors import ArkError
from dialects.http import BadBody, parse_object

from .fields import ImageRequest


def read_body(request: HttpRequest) -> ImageRequest:
    """Raises ArkError, or pydantic's ValidationError."""
    try:
        value = parse_object(request.body)
    except BadBody as error:
        raise ArkError.invalid("", error.message) from None
    return ImageRequest.model_validate(_without_null(value))


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_null(part) for name, part in value.items() if part is not None}
    return value
