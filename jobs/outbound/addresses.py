"""Classification of public IP addresses. Pure functions."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that IANA has allocated for global unicast
RELAY = IPv4Network("192.88.99.0/24")  # 6to4 relay anycast (RFC 7526)
# Addresses with an embedded IPv4 address, which may be private.
CARRIERS = tuple(
    IPv6Network(network)
    for network in (
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # local-use NAT64 (RFC 8215)
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
    )
)


def is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return address not in RELAY
    return address in GLOBAL_UNICAST and not any(address in network for network in CARRIERS)


def as_network(text: str) -> Network | None:
    """Parse a network or address; None for any other text, such as a host name."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
