"""Group commit: concurrent inserts share one transaction.

The first caller becomes the leader. It commits for the callers that queued up while the previous group was
committed. A caller that arrives alone is committed immediately.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.db import connection

Item = TypeVar("Item")
Result = TypeVar("Result")


class LeaderDied(Exception):
    """The leader failed without setting an outcome; it is unknown whether the item was committed."""


@dataclass(eq=False)
class _Call(Generic[Item, Result]):
    item: Item
    outcome: Result | Exception = field(default_factory=LeaderDied)
    leads: bool = False
    retries_alone: bool = False
    done: threading.Event = field(default_factory=threading.Event)


class GroupCommit(Generic[Item, Result]):
    """Combines items submitted by concurrent threads into groups of at most ``max_size`` items.

    ``run`` processes one group in one transaction and returns the result or the exception of each item.
    """

    def __init__(
        self, run: Callable[[Sequence[Item]], Sequence[Result | Exception]], *, max_size: int = 32
    ) -> None:
        self._run = run
        self._max_size = max_size
        self._lock = threading.Lock()
        self._queued: list[_Call[Item, Result]] = []
        self._is_running = False

    @property
    def waiting(self) -> int:
        """Number of items that wait for the next group."""
        with self._lock:
            return len(self._queued)

    def submit(self, item: Item) -> Result:
        """Process one item and return its result. Raises the error of the item or of the transaction."""
        call = _Call[Item, Result](item)
        if connection.in_atomic_block:  # work committed by another thread would not be rolled back
            self._run_group([call])
        else:
            self._join(call)
        if isinstance(call.outcome, Exception):
            raise call.outcome
        return call.outcome

    def _join(self, call: _Call[Item, Result]) -> None:
        with self._lock:
            self._queued.append(call)
            call.leads, self._is_running = not self._is_running, True
        if not call.leads:
            call.done.wait()
        if call.leads:
            self._lead()
        if call.retries_alone:
            self._run_group([call])

    def _lead(self) -> None:
        """Commit the first group in the queue, which includes the leader, then appoint the next leader."""
        with self._lock:
            group, self._queued = self._queued[: self._max_size], self._queued[self._max_size :]
        try:
            self._run_group(group)
        finally:
            self._appoint_next_leader()
            for call in group[1:]:
                call.done.set()

    def _appoint_next_leader(self) -> None:
        with self._lock:
            self._is_running = bool(self._queued)
            if self._queued:
                self._queued[0].leads = True
                self._queued[0].done.set()

    def _run_group(self, group: list[_Call[Item, Result]]) -> None:
        try:
            outcomes = self._run([call.item for call in group])
        except Exception as error:
            if len(group) == 1:
                group[0].outcome = error
                return
            # One item made the shared transaction fail: retry each item in its own transaction.
            for call in group:
                call.retries_alone = True
            return
        for call, outcome in zip(group, outcomes, strict=True):
            call.outcome = outcome
