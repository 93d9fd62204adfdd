"""Callback policies of the dialects: body, acknowledgement and retries.

A dialect registers its policy in ``AppConfig.ready``, so that it is available in every process.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.models.callback import Callback
from jobs.outbound.http import HTTPResult


@dataclass(frozen=True)
class CallbackPolicy:
    """Callback policy of one dialect.

    ``waits_s[n]``: seconds to wait after failure n (0-based); the last value repeats until ``max_attempts``.
    """

    body: Callable[[Callback], Any]  # JSON value, made from the job, extra and base_url of the callback
    acknowledged: Callable[[HTTPResult], bool]
    waits_s: tuple[float, ...]
    max_attempts: int
    timeout_s: float = 15.0
    intake_body: Callable[[Callback], Any] | None = None  # of dialects that load models from URLs

    def content(self, callback: Callback) -> Any:
        """The body of a callback, as a JSON value."""
        if callback.intake_id is None or self.intake_body is None:
            return self.body(callback)
        return self.intake_body(callback)

    def wait_after(self, tries: int) -> float | None:
        """Seconds until the next attempt; None after the last one. ``tries``: failed attempts, at least 1."""
        return None if tries >= self.max_attempts else self.waits_s[min(tries, len(self.waits_s)) - 1]


_policies: dict[str, CallbackPolicy] = {}


def register(dialect: str, policy: CallbackPolicy) -> None:
    _policies[dialect] = policy


def policy_for(dialect: str) -> CallbackPolicy:
    """Policy of a dialect. Raises LookupError if it has no callbacks."""
    return _policies[dialect]


def dialects() -> list[str]:
    """Names of the dialects with callbacks."""
    return sorted(_policies)


def by_status(response: HTTPResult) -> bool:
    """Acknowledged by any 2xx status."""
    return 200 <= response.status < 300


def by_code(code: str) -> Callable[[HTTPResult], bool]:
    """Acknowledged by a 2xx status and a JSON object whose ``code`` is this string, or the same number."""

    def acknowledged(response: HTTPResult) -> bool:
        try:
            value = json.loads(response.body)
        except (ValueError, RecursionError):
            return False
        received = value.get("code") if isinstance(value, dict) else None
        return by_status(response) and not isinstance(received, bool) and str(received) == code

    return acknowledged
