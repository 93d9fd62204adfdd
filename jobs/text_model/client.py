"""Client of the operator's text model: one call of ``POST {TEXT_MODEL_URL}/chat/completions``.

The address is the operator's, so it may be a private one. Time, size of the answer and number of calls at once are
limited, because a call occupies a web thread.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable
from typing import Any

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from jobs.errors import BadURL, ForbiddenAddress, TextModelFailed, TextModelMissing
from jobs.outbound.connections import client
from jobs.outbound.policy import Policy

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 256 * 1024
MAX_TOKENS = 2048
MAX_CALLS = max(1, settings.WEB_THREADS // 4)  # at the same time, per process
RETRY_AFTER_S = 10
# Members that not every server accepts: a call refused because of one is repeated without it.
OPTIONAL = ("response_format", "max_tokens", "temperature")

slots = threading.BoundedSemaphore(MAX_CALLS)


def is_configured() -> bool:
    """Whether there is a text model."""
    return bool(settings.TEXT_MODEL_URL and settings.TEXT_MODEL_NAME)


def is_vision_configured() -> bool:
    """Whether there is a model that takes images."""
    return bool(settings.TEXT_MODEL_URL and settings.TEXT_MODEL_VISION)


def require(field: str | None = None, *, vision: bool = False) -> None:
    """Raise TextModelMissing if there is no text model, or no vision model. ``field``: what the request needs it for."""
    if is_vision_configured() if vision else is_configured():
        return
    if vision:
        message = _(
            "This needs a vision model, and none is configured: TEXT_MODEL_URL and TEXT_MODEL_VISION."
        )
    else:
        message = _("This needs a text model, and none is configured: TEXT_MODEL_URL and TEXT_MODEL_NAME.")
    raise TextModelMissing(message, field=field)


def complete(model: str, messages: list[dict[str, Any]]) -> str:
    """The text of the model's answer. Raises TextModelFailed."""
    if not slots.acquire(blocking=False):
        raise TextModelFailed(_("The text model is busy."), retry_after=RETRY_AFTER_S)
    try:
        return _text(_answer(_body(model, messages)))
    finally:
        slots.release()


def _body(model: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "model": model,
        "messages": messages,
        "temperature": 0,
        "max_tokens": MAX_TOKENS,
        "response_format": {"type": "json_object"},
        **settings.TEXT_MODEL_OPTIONS,
    }


def _answer(body: dict[str, Any]) -> bytes:
    status, answer = _post(body)
    if status == httpx.codes.BAD_REQUEST and (accepted := _without(body, refused_in(answer))) != body:
        status, answer = _post(accepted)
    if not httpx.codes.is_success(status):
        log.warning("text model: status %d: %s", status, answer[:300].decode(errors="replace"))
        raise _failed(_reason(status), may_recover=status == 429 or status >= 500)
    return answer


def refused_in(answer: bytes) -> list[str]:
    """The optional members that an error response names."""
    return [name for name in OPTIONAL if name.encode() in answer]


def _without(body: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


def _post(body: dict[str, Any]) -> tuple[int, bytes]:
    """Status and body of the response. Raises TextModelFailed."""
    headers = {"Content-Type": "application/json"}
    if settings.TEXT_MODEL_KEY:
        headers["Authorization"] = f"Bearer {settings.TEXT_MODEL_KEY}"
    try:
        url = httpx.URL(_url())
        content = json.dumps(body, ensure_ascii=False).encode(errors="replace")
        with (
            client(_policy(url.host)) as http,
            http.stream("POST", url, content=content, headers=headers) as response,
        ):
            return response.status_code, _limited(response)
    except httpx.TimeoutException as error:
        log.warning("text model: no answer within %g s", settings.TEXT_MODEL_TIMEOUT_S)
        raise _failed(_("it did not answer within the time limit"), may_recover=True) from error
    except (httpx.HTTPError, httpx.InvalidURL, BadURL, ForbiddenAddress) as error:
        log.warning("text model: %s", error)
        raise _failed(_("it cannot be reached"), may_recover=True) from error


def _url() -> str:
    """TEXT_MODEL_URL is the base URL, as SDKs want it, or the whole one."""
    base = settings.TEXT_MODEL_URL.rstrip("/")
    return base if base.endswith("/chat/completions") else f"{base}/chat/completions"


def _policy(host: str) -> Policy:
    return Policy(frozenset({host.lower()}), total_s=settings.TEXT_MODEL_TIMEOUT_S)


def _limited(response: httpx.Response) -> bytes:
    data = bytearray()
    for chunk in response.iter_raw():
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            log.warning("text model: more than %d bytes", MAX_ANSWER_BYTES)
            raise _failed(_("its answer is too large"))
    return bytes(data)


def _text(answer: bytes) -> str:
    try:
        text = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str):
        log.warning("text model: not a chat completion: %s", answer[:300].decode(errors="replace"))
        raise unusable()
    return text


def unusable() -> TextModelFailed:
    """The error of an answer that is not what was requested."""
    return _failed(_("its answer cannot be used"))


def _failed(reason: str, *, may_recover: bool = False) -> TextModelFailed:
    # The address, the model and its error message are the operator's; clients get the reason only.
    message = _("The text model failed: %(reason)s.") % {"reason": reason}
    return TextModelFailed(message, retry_after=RETRY_AFTER_S if may_recover else None)


def _reason(status: int) -> str:
    match status:
        case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
            return _("it does not accept the platform's key")
        case httpx.codes.TOO_MANY_REQUESTS:
            return _("it has too many requests")
    return _("it answered with status %(status)d") % {"status": status}
