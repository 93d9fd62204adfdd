"""Parameters of a request: a JSON object, a form, or the query string."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from dialects.http import InvalidJSON, parse_json
from dialects.stablediffusionapi.errors import WireError


def read_parameters(request: HttpRequest) -> dict[str, Any]:
    """Parameters of the body and of the query; the body takes precedence. Raises WireError."""
    query = {name: request.GET.get(name) for name in request.GET}
    return query | _body(request)


def _body(request: HttpRequest) -> dict[str, Any]:
    kind = (request.content_type or "").lower()
    if kind == "multipart/form-data":
        return _form(request)
    data = request.body
    # curl sends JSON with a form's content type by default.
    if kind.endswith("json") or data.lstrip()[:1] in (b"{", b"["):
        return _json(data)
    return _form(request) if data.strip() else {}


def _form(request: HttpRequest) -> dict[str, Any]:
    return {name: request.POST.get(name) for name in request.POST}


def _json(data: bytes) -> dict[str, Any]:
    if not data.strip():
        return {}
    try:
        value = parse_json(data)
    except InvalidJSON as error:
        raise WireError(400, error.message) from None
    if not isinstance(value, dict):
        raise WireError(400, _("The body must be a JSON object."))
    return value
