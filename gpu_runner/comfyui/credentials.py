"""Credentials for a ComfyUI server behind a proxy, and the CA of its certificate."""

from __future__ import annotations

import base64
import ssl

from gpu_runner.protocol import ServerCredentials


def headers(credentials: ServerCredentials) -> dict[str, str]:
    """Return the HTTP headers that authenticate a request."""
    match credentials.scheme:
        case "bearer":
            return {"Authorization": f"Bearer {credentials.secret}"}
        case "api_key":
            return {"X-API-Key": credentials.secret}
        case "basic":
            return {"Authorization": f"Basic {base64.b64encode(credentials.secret.encode()).decode()}"}
    return {}


def tls_context(credentials: ServerCredentials) -> ssl.SSLContext:
    """Return a context with the usual CAs, and that of the server if it has one of its own. Raises ssl.SSLError."""
    context = ssl.create_default_context()
    if credentials.ca:
        context.load_verify_locations(cadata=credentials.ca)
    return context
