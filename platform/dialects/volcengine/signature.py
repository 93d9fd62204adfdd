"""HMAC-SHA256 request signatures of Volcengine, as its SDKs make them.

Pure functions of the request and the secret. Steps: canonical request, string to sign, derived key, HMAC
(https://www.volcengine.com/docs/6369/67269). Unlike AWS Signature Version 4, the key has no prefix.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

ALGORITHM = "HMAC-SHA256"
TERMINATOR = "request"
DATE_FORM = "%Y%m%dT%H%M%SZ"
DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
UNRESERVED = "-_.~"
PLAIN_PORTS = (":80", ":443")
EMPTY_HASH = hashlib.sha256(b"").hexdigest()


class BadCredential(ValueError):
    """The scope is not date/region/service/request."""


class NoSignature(ValueError):
    """The Authorization header has no Signature part."""


@dataclass(frozen=True)
class Scope:
    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return "/".join((self.date, self.region, self.service, TERMINATOR))


@dataclass(frozen=True)
class SignedRequest:
    """The parts of a request that a signature covers."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""


@dataclass(frozen=True)
class Signed:
    """A signature and its parameters, from the Authorization header or the query of a presigned URL."""

    key_id: str
    scope: Scope
    date: str  # X-Date
    signature: str
    signed_headers: tuple[str, ...] = ()
    in_query: bool = False


def parse_header(header: str, date: str) -> Signed:
    """Parse the ``Authorization`` header. Raises NoSignature, BadCredential or another ValueError."""
    algorithm, _space, rest = header.strip().partition(" ")
    parts = dict(_pair(part) for part in rest.split(",")) if rest else {}
    if algorithm != ALGORITHM or "Credential" not in parts:
        raise ValueError(f"the algorithm must be {ALGORITHM}, with a Credential")
    if not parts.get("Signature"):
        raise NoSignature
    key_id, scope = _credential(parts["Credential"])
    names = tuple(name for name in parts.get("SignedHeaders", "").lower().split(";") if name)
    return Signed(key_id, scope, date, parts["Signature"], names)


def parse_query(query: Mapping[str, str]) -> Signed:
    """Parse the query of a presigned URL. Raises the same errors as ``parse_header``."""
    if query.get("X-Algorithm") != ALGORITHM or "X-Credential" not in query:
        raise ValueError(f"X-Algorithm must be {ALGORITHM}, with an X-Credential")
    key_id, scope = _credential(query["X-Credential"])
    names = tuple(name for name in query.get("X-SignedHeaders", "").lower().split(";") if name)
    return Signed(key_id, scope, query.get("X-Date", ""), query["X-Signature"], names, in_query=True)


def parse_date(date: str) -> datetime | None:
    """X-Date as a UTC datetime; None if it has another format or is no valid date."""
    if not DATE.fullmatch(date):
        return None
    try:
        return datetime.strptime(date, DATE_FORM).replace(tzinfo=UTC)
    except ValueError:
        return None


def verify(signed: Signed, sent: SignedRequest, secret: str) -> bool:
    """Whether the signature matches one of the canonical requests that SDKs build. Compares in constant time."""
    if not HEX_DIGEST.fullmatch(signed.signature) or not signed.date.startswith(signed.scope.date):
        return False
    key = signing_key(secret, signed.scope)
    matches = [
        hmac.compare_digest(signature(key, signed, canonical), signed.signature)
        for canonical in canonical_requests(signed, sent)
    ]
    return any(matches)


def canonical_requests(signed: Signed, sent: SignedRequest) -> list[str]:
    """Canonical requests to accept, because SDKs differ.

    Some leave the ports 80 and 443 out of Host; some leave X-Security-Token out of a presigned query.
    """
    body_hash = EMPTY_HASH if signed.in_query else hashlib.sha256(sent.body).hexdigest()
    return [
        "\n".join(
            (
                sent.method,
                quote(sent.path or "/", safe="/" + UNRESERVED),
                query,
                headers,
                ";".join(signed.signed_headers),
                body_hash,
            )
        )
        for query in _queries(signed, sent.query)
        for headers in _header_blocks(signed, sent.headers)
    ]


def signature(key: bytes, signed: Signed, canonical: str) -> str:
    digest = hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()
    text = "\n".join((ALGORITHM, signed.date, str(signed.scope), digest))
    return _hmac(key, text).hex()


def signing_key(secret: str, scope: Scope) -> bytes:
    key = secret.encode()
    for part in (scope.date, scope.region, scope.service, TERMINATOR):
        key = _hmac(key, part)
    return key


def _queries(signed: Signed, query: tuple[tuple[str, str], ...]) -> list[str]:
    if not signed.in_query:
        return [_canonical_query(query)]
    named = [pair for pair in query if pair[0] != "X-Signature"]
    return [
        _canonical_query(named),
        _canonical_query(pair for pair in named if pair[0] != "X-Security-Token"),
    ]


def _canonical_query(query: Iterable[tuple[str, str]]) -> str:
    pairs = sorted((_quoted(name), _quoted(value)) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _header_blocks(signed: Signed, headers: Mapping[str, str]) -> list[str]:
    if signed.in_query and not signed.signed_headers:
        return ["\n"]
    host = headers.get("host", "")
    hosts = [host]
    if host.endswith(PLAIN_PORTS):
        hosts.append(host.rpartition(":")[0])
    elif host and ":" not in host:
        hosts += [host + port for port in PLAIN_PORTS]
    if "host" not in signed.signed_headers:
        hosts = hosts[:1]
    return [_header_block(signed, {**headers, "host": name}) for name in hosts]


def _header_block(signed: Signed, headers: Mapping[str, str]) -> str:
    return "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in signed.signed_headers)


def _pair(part: str) -> tuple[str, str]:
    name, equals, value = part.strip().partition("=")
    if not equals:
        raise ValueError("a part of the header has no value")
    return name, value


def _credential(text: str) -> tuple[str, Scope]:
    parts = text.split("/")
    if len(parts) != 5 or parts[4] != TERMINATOR or not all(parts):
        raise BadCredential
    key_id, date, region, service, _terminator = parts
    return key_id, Scope(date, region, service)


def _quoted(text: str) -> str:
    return quote(text, safe=UNRESERVED, errors="surrogatepass")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(errors="surrogatepass"), hashlib.sha256).digest()
