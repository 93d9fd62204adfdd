"""Tests of IP addresses against networks in CIDR notation."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def is_network(text: object) -> bool:
    try:
        ipaddress.ip_network(text if isinstance(text, str) else "")
    except ValueError:
        return False
    return True


def in_networks(address: str, networks: Iterable[str]) -> bool:
    """Whether the address is in one of the networks; False for text that is not an address."""
    try:
        caller = ipaddress.ip_address(address)
    except ValueError:
        return False
    # A dual-stack socket reports IPv4 callers as ::ffff:10.0.0.1.
    caller = getattr(caller, "ipv4_mapped", None) or caller
    return any(caller in ipaddress.ip_network(network) for network in networks)
