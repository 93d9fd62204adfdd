"""How each dialect calls back: what it says, what it takes for an acknowledgement, and when it tries again.

A dialect registers its policy when its app is ready, so that every process knows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.models.callback import Callback
from jobs.outbound.http import Answer


@dataclass(frozen=True)
class CallbackPolicy:
    """``waits_s[n]`` is the wait after the n-th failure; the last one repeats itself until ``max_attempts``."""

    body: Callable[[Callback], Any]  # JSON; the callback has its job, its extra data and its base_url
    acknowledged: Callable[[Answer], bool]
    waits_s: tuple[float, ...]
    max_attempts: int
    timeout_s: float = 15.0

    def wait_after(self, tries: int) -> float | None:
        """Seconds until the next attempt; None when there is none."""
        return None if tries >= self.max_attempts else self.waits_s[min(tries, len(self.waits_s)) - 1]


_policies: dict[str, CallbackPolicy] = {}


def register(dialect: str, policy: CallbackPolicy) -> None:
    _policies[dialect] = policy


def policy_for(dialect: str) -> CallbackPolicy:
    """Raises LookupError for a dialect that does not call back."""
    return _policies[dialect]


def dialects() -> list[str]:
    """Those that call back."""
    return sorted(_policies)


def by_status(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def by_code(code: str) -> Callable[[Answer], bool]:
    """A JSON object whose member ``code`` is this text, or the number of it."""

    def acknowledged(answer: Answer) -> bool:
        try:
            value = json.loads(answer.body)
        except (ValueError, RecursionError):
            return False
        said = value.get("code") if isinstance(value, dict) else None
        return by_status(answer) and not isinstance(said, bool) and str(said) == code

    return acknowledged
