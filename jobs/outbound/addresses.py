"""Classification of public IP addresses. Pure functions."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from socket import inet_aton

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that IANA has allocated for global unicast
HEX_DIGITS = frozenset("0123456789abcdef")
OWN_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
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


def ends_in_number(host: str) -> bool:
    """Whether a host name is an IPv4 address in some spelling, or none at all: its last label is a number."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    return last.isdecimal() or (last.startswith("0x") and all(letter in HEX_DIGITS for letter in last[2:]))


def is_own_name(host: str) -> bool:
    """Whether a host name always means the host itself (RFC 6761)."""
    name = host.lower().rstrip(".")
    return name in OWN_NAMES or name.endswith(".localhost")


def is_ipv4(host: str) -> bool:
    """Whether a resolver reads the host as an IPv4 address, such as ``127.1``, ``0x7f000001`` or ``2130706433``."""
    try:
        inet_aton(host)
    except OSError:
        return False
    return True


def as_network(text: str) -> Network | None:
    """Parse a network or address; None for any other text, such as a host name."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
