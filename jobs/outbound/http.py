"""HTTP client for untrusted hosts (SSRF-guarded): GET with redirects, POST without."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
from django.utils.translation import gettext as _

from jobs.errors import FetchFailed

from .connections import Resolve, client, resolve
from .policy import Policy, check_url

MAX_RESPONSE_BYTES = 64 * 1024  # longer callback responses are truncated


@dataclass(frozen=True)
class HTTPResult:
    status: int
    body: bytes


def fetch(url: str, policy: Policy, resolve: Resolve = resolve) -> bytes:
    """GET a URL, following redirects, and return the body. Raises BadURL, ForbiddenAddress or FetchFailed."""
    with _response(url, policy, resolve, accept="image/*") as response:
        _check(response, policy.max_bytes)
        return b"".join(_chunks(response, policy.max_bytes))


@dataclass(frozen=True)
class Download:
    """A response whose body is read chunk by chunk. ``length``: its size as announced, if it is."""

    content_type: str
    length: int | None
    chunks: Iterator[bytes]


@contextlib.contextmanager
def streamed(url: str, policy: Policy, resolve: Resolve = resolve) -> Iterator[Download]:
    """GET a URL, following redirects, for a body that is too large for memory.

    Raises BadURL, ForbiddenAddress or FetchFailed, also while the chunks are read.
    """
    with _response(url, policy, resolve, accept="*/*") as response:
        length = _check(response, policy.max_bytes)
        content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        yield Download(content_type, length, _chunks(response, policy.max_bytes))


@contextlib.contextmanager
def _response(url: str, policy: Policy, resolve: Resolve, *, accept: str) -> Iterator[httpx.Response]:
    with _as_fetch_errors(check_url(url).host), client(policy, resolve) as http:
        request = http.build_request("GET", url, headers={"Accept": accept})
        with _followed(http, request, policy) as response:
            yield response


def post(
    url: str, body: bytes, headers: Mapping[str, str], policy: Policy, resolve: Resolve = resolve
) -> HTTPResult:
    """POST to a URL without following redirects. Returns the response, whatever its status.

    Raises BadURL, ForbiddenAddress or FetchFailed.
    """
    with (
        _as_fetch_errors(check_url(url).host),
        client(policy, resolve) as http,
        http.stream("POST", url, content=body, headers=dict(headers)) as response,
    ):
        return HTTPResult(response.status_code, _beginning(response))


@contextlib.contextmanager
def _as_fetch_errors(host: str) -> Iterator[None]:
    try:
        yield
    except httpx.InvalidURL as error:  # of a redirect
        raise FetchFailed(_("%(host)s redirects to an invalid URL.") % {"host": host}) from error
    except httpx.HTTPError as error:
        raise FetchFailed(_reason(error, _requested_host(error) or host)) from error


def _requested_host(error: httpx.HTTPError) -> str:
    """Host of the failed request, which after a redirect is another one than that of the URL."""
    try:
        return error.request.url.host
    except RuntimeError:  # httpx sets the request of most errors only
        return ""


def _reason(error: httpx.HTTPError, host: str) -> str:
    """Why a request failed. Failures with different remedies have different messages."""
    cause = _origin(error)
    values = {"host": host}
    match cause:
        case ssl.SSLCertVerificationError():
            values["reason"] = cause.verify_message or str(cause)
            return _("The certificate of %(host)s is not trusted: %(reason)s. See docs/outside.md.") % values
        case ssl.SSLError():
            values["reason"] = (cause.reason or str(cause)).replace("_", " ").lower()
            return _("The TLS connection to %(host)s failed: %(reason)s.") % values
        case socket.gaierror() | UnicodeError():
            return _("The host name %(host)s cannot be resolved.") % values
    if isinstance(error, httpx.TimeoutException):
        return _("%(host)s did not respond within the time limit.") % values
    if isinstance(error, httpx.ConnectError):
        return _("%(host)s cannot be reached.") % values
    return _("The response of %(host)s ended early or is not valid HTTP.") % values


def _origin(error: BaseException) -> BaseException:
    """The exception that caused the others."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error


@contextlib.contextmanager
def _followed(http: httpx.Client, request: httpx.Request, policy: Policy) -> Iterator[httpx.Response]:
    """The response after redirects; its body is not read yet."""
    for _hop in range(policy.max_redirects + 1):
        check_url(request.url)
        with contextlib.closing(http.send(request, stream=True)) as response:
            if response.next_request is None:
                yield response
                return
        request = response.next_request
    values = {"host": request.url.host, "limit": policy.max_redirects}
    raise FetchFailed(_("%(host)s redirects more than %(limit)d times.") % values)


def _check(response: httpx.Response, limit: int) -> int | None:
    """Check status and announced size. Returns that size, if there is one."""
    if not response.is_success:
        values = {"host": response.url.host, "status": response.status_code}
        raise FetchFailed(_("%(host)s returned status %(status)d.") % values)
    announced = response.headers.get("Content-Length", "")
    length = int(announced) if announced.isdecimal() else None
    if length is not None and length > limit:
        raise _too_large(limit)
    return length


def _chunks(response: httpx.Response, limit: int) -> Iterator[bytes]:
    received = 0
    for chunk in response.iter_raw():
        received += len(chunk)
        if received > limit:
            raise _too_large(limit)
        yield chunk


def _too_large(limit: int) -> FetchFailed:
    return FetchFailed(_("The file at the URL exceeds %(limit)d MB.") % {"limit": limit >> 20})


def _beginning(response: httpx.Response) -> bytes:
    data = bytearray()
    for chunk in response.iter_raw():
        data += chunk
        if len(data) >= MAX_RESPONSE_BYTES:
            break
    return bytes(data[:MAX_RESPONSE_BYTES])
