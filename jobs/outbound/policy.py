"""Allowed hosts, size limits and time limits of outgoing requests, per source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from access.models import BusinessSource
from jobs.errors import BadURL

from .addresses import Address, Network, as_network, ends_in_number, is_ipv4, is_public

MAX_URL = 2000
MAX_PORT = 65535
SCHEMES = frozenset({"http", "https"})


@dataclass(frozen=True)
class Policy:
    """Limits of outgoing requests. Allowed are public addresses, ``hosts``, and addresses in ``networks``."""

    hosts: frozenset[str] = frozenset()  # ".example.com" matches all of its subdomains
    networks: tuple[Network, ...] = ()
    max_bytes: int = 32 * 1024 * 1024
    total_s: float = 30.0  # from the first name resolution to the last byte, including redirects
    max_redirects: int = 3

    @classmethod
    def of(cls, source: BusinessSource) -> Policy:
        limits = replace(cls(), max_bytes=settings.FETCH_MAX_BYTES, total_s=settings.FETCH_TIMEOUT_S)
        return limits.allowing([*settings.OUTBOUND_ALLOWED, *source.reachable])

    def allowing(self, places: Iterable[str]) -> Policy:
        """Copy of the policy that also allows ``places``: host names, addresses or networks (CIDR)."""
        found = {place.lower(): as_network(place) for place in places}
        hosts = frozenset(place for place, network in found.items() if network is None)
        networks = tuple(network for network in found.values() if network is not None)
        return replace(self, hosts=self.hosts | hosts, networks=self.networks + networks)

    def allows(self, host: str, address: Address) -> bool:
        return (
            is_public(address)
            or self._names(host.lower().rstrip("."))
            or any(address in network for network in self.networks)
        )

    def _names(self, host: str) -> bool:
        parents = {host[index:] for index, letter in enumerate(host) if letter == "."}
        return not self.hosts.isdisjoint({host, *parents})


def _is_host(host: str) -> bool:
    """Whether a host could exist: an IPv6 address, or no empty label, and a number only as an address."""
    name = host.removesuffix(".")
    return ":" in host or (all(name.split(".")) and (not ends_in_number(name) or is_ipv4(name)))


def check_url(url: str | httpx.URL) -> httpx.URL:
    """Parse and validate a URL, without resolving its host. Raises BadURL."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        raise BadURL(_("Invalid URL.")) from None
    if parsed.scheme not in SCHEMES or not parsed.host:
        raise BadURL(_("The scheme of a URL must be http or https."))
    if "%" in parsed.host or not 0 < (parsed.port or 80) <= MAX_PORT:
        raise BadURL(_("Invalid URL."))
    if not _is_host(parsed.raw_host.decode("ascii")):
        raise BadURL(_("Invalid host name in a URL."))
    if parsed.userinfo:
        raise BadURL(_("A URL may not contain a user name or a password."))
    if len(str(url)) > MAX_URL:
        lengths = {"limit": MAX_URL, "length": len(str(url))}
        raise BadURL(_("A URL must have at most %(limit)d characters (got %(length)d).") % lengths)
    return parsed
