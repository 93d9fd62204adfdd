"""Client IP address from X-Forwarded-For, for trusted proxies only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from access.addresses.networks import in_networks


class ClientAddress:
    """Middleware that sets REMOTE_ADDR to the client's address, where all other code reads it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.TRUSTED_PROXIES:
            forwarded = request.headers.get("X-Forwarded-For", "")
            address = request.META.get("REMOTE_ADDR", "")
            request.META["REMOTE_ADDR"] = client_address(address, forwarded, settings.TRUSTED_PROXIES)
        return self.get_response(request)


def client_address(peer: str, forwarded: str, proxies: Sequence[str]) -> str:
    """The last address in ``forwarded``, followed by ``peer``, that is not a trusted proxy's.

    Addresses to the left of it may have been forged by the client.
    """
    address = peer
    for hop in reversed([hop.strip() for hop in forwarded.split(",") if hop.strip()]):
        if not in_networks(address, proxies):
            break
        address = hop
    return address
