"""One transaction for all who come at the same time: the first does the work of those who came while another was at it.

Under load many small transactions wait for their round trips, for each other's locks and for the disk, each by itself;
together they wait once. Nobody waits for company: whoever finds nobody at work begins at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.db import connection

Item = TypeVar("Item")
Result = TypeVar("Result")


class CutOff(Exception):
    """Whoever worked for this item ended in the middle: its process is going down."""


@dataclass(eq=False)
class _Turn(Generic[Item, Result]):
    item: Item
    outcome: Result | Exception = field(default_factory=CutOff)
    leads: bool = False
    called: threading.Event = field(default_factory=threading.Event)


class GroupCommit(Generic[Item, Result]):
    """``run`` does what is to be done for several items in one transaction; of each, its result or its error."""

    def __init__(
        self, run: Callable[[Sequence[Item]], Sequence[Result | Exception]], *, most: int = 32
    ) -> None:
        self._run = run
        self._most = most
        self._lock = threading.Lock()
        self._waiting: list[_Turn[Item, Result]] = []
        self._at_work = False

    def submit(self, item: Item) -> Result:
        """Raises the item's error, or what went wrong with the transaction."""
        turn = _Turn[Item, Result](item)
        if connection.in_atomic_block:  # what is to be undone with it cannot be another thread's
            self._work_for([turn])
        else:
            self._take_turn(turn)
        if isinstance(turn.outcome, Exception):
            raise turn.outcome
        return turn.outcome

    def _take_turn(self, turn: _Turn[Item, Result]) -> None:
        with self._lock:
            self._waiting.append(turn)
            turn.leads, self._at_work = not self._at_work, True
        if not turn.leads:
            turn.called.wait()
        if turn.leads:
            self._lead()

    def _lead(self) -> None:
        """The leader is the first who waits, so it works for itself as well; then the next first takes over."""
        with self._lock:
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            self._work_for(group)
        finally:
            self._hand_over()
            for turn in group[1:]:
                turn.called.set()

    def _hand_over(self) -> None:
        with self._lock:
            self._at_work = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].called.set()

    def _work_for(self, group: list[_Turn[Item, Result]]) -> None:
        try:
            outcomes = self._run([turn.item for turn in group])
        except Exception as error:
            if len(group) == 1:
                group[0].outcome = error
                return
            # One of them is to blame, and the others must not suffer for it.
            for turn in group:
                self._work_for([turn])
            return
        for turn, outcome in zip(group, outcomes, strict=True):
            turn.outcome = outcome
