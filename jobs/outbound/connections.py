"""HTTP connections to checked addresses only (SSRF guard).

A host name is resolved once, and the connection is made to the checked address, which prevents DNS rebinding.
TLS (SNI, certificate check) and the Host header keep the name.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import httpcore
import httpx
from django.utils.translation import gettext as _

from jobs.errors import ForbiddenAddress

from .addresses import Address, ends_in_number, is_own_name
from .policy import Policy, check_url
from .tls import trusted

Resolve = Callable[[str, int], list[Address]]
USER_AGENT = "Atelier"


def resolve(host: str, port: int) -> list[Address]:
    """Addresses of a host name, without duplicates. Raises OSError if it cannot be resolved.

    A number with a trailing dot is an address (WHATWG URL), and names of this host are its loopback addresses
    (RFC 6761), although resolvers find neither.
    """
    name = host.lower().rstrip(".")
    if is_own_name(name):
        return [IPv4Address("127.0.0.1"), IPv6Address("::1")]
    numeric = ends_in_number(name)
    found = socket.getaddrinfo(name if numeric else host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(info[4][0]) for info in found))


def check_target(url: str, policy: Policy, resolve: Resolve = resolve) -> None:
    """Validate a URL and its addresses. Raises BadURL or ForbiddenAddress.

    A name that cannot be resolved now is accepted, because it may be resolvable later.
    """
    target = check_url(url)
    host = target.raw_host.decode("ascii")
    try:
        addresses = resolve(host, target.port or 0)
    except (OSError, UnicodeError):
        return
    _check(host, addresses, policy)


def _check(host: str, addresses: Iterable[Address], policy: Policy) -> None:
    """Raise ForbiddenAddress if any of the addresses is not allowed, even if others are."""
    if not all(policy.allows(host, address) for address in addresses):
        raise ForbiddenAddress(
            _("%(host)s has an address that is neither public nor allowed. See docs/outside.md.")
            % {"host": host}
        )


class DeadlineStream(httpcore.NetworkStream):
    """Network stream with one deadline (time.monotonic) for all reads and writes, against slow senders."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline, httpcore.ConnectTimeout)
        return DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, error: type[Exception]) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise error("deadline exceeded")
    return left


class GuardedNetwork(httpcore.NetworkBackend):
    """Network backend that resolves names, checks the addresses against the policy, and connects to them."""

    def __init__(self, policy: Policy, deadline: float, resolve: Resolve) -> None:
        self._policy, self._deadline, self._resolve = policy, deadline, resolve
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        addresses = self._addresses(host, port)
        _check(host, addresses, self._policy)
        return DeadlineStream(self._connect(addresses, port), self._deadline)

    def _addresses(self, host: str, port: int) -> list[Address]:
        try:
            return self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error

    def _connect(self, addresses: list[Address], port: int) -> httpcore.NetworkStream:
        problem: Exception = httpcore.ConnectError("the name has no address")
        for address in addresses:
            left = _left(self._deadline, httpcore.ConnectTimeout)
            try:
                return self._network.connect_tcp(str(address), port, timeout=left)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem


class GuardedTransport(httpx.HTTPTransport):
    """Transport with a custom network backend; httpx has no option for it, so its pool is replaced."""

    def __init__(self, network: httpcore.NetworkBackend) -> None:
        super().__init__(verify=trusted(), trust_env=False)
        self._pool = httpcore.ConnectionPool(ssl_context=trusted(), network_backend=network)


def client(policy: Policy, resolve: Resolve = resolve) -> httpx.Client:
    """HTTP client for one call, including redirects. Its time limit starts now.

    No proxy is used, because a proxy would resolve the names. The caller follows redirects itself, because httpx
    would read their bodies without a size limit.
    """
    network = GuardedNetwork(policy, time.monotonic() + policy.total_s, resolve)
    return httpx.Client(
        transport=GuardedTransport(network),
        trust_env=False,
        timeout=policy.total_s,
        # No compression: a small body could expand beyond the size limit.
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
    )
