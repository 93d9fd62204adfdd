"""Who calls, where a proxy stands in between: X-Forwarded-For, as far as those who wrote it are trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from access.networks import in_networks


class ClientAddress:
    """Makes REMOTE_ADDR the client's. Everything that compares addresses with networks reads it there."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.TRUSTED_PROXIES:
            forwarded = request.headers.get("X-Forwarded-For", "")
            address = request.META.get("REMOTE_ADDR", "")
            request.META["REMOTE_ADDR"] = client_address(address, forwarded, settings.TRUSTED_PROXIES)
        return self.get_response(request)


def client_address(peer: str, forwarded: str, proxies: Sequence[str]) -> str:
    """The nearest address that is no trusted proxy's: everything left of it anybody may have written."""
    address = peer
    for hop in reversed([hop.strip() for hop in forwarded.split(",") if hop.strip()]):
        if not in_networks(address, proxies):
            break
        address = hop
    return address
