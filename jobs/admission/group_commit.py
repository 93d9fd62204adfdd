"""One transaction for all who come at the same time: the first does the work of those who came while another was at it.

Under load many small transactions wait for their round trips, for each other's locks and for the disk, each by itself;
together they wait once. Whoever finds nobody at work begins at once if nobody else is on the way, and otherwise waits for
them a moment, as PostgreSQL's commit_delay does with its commit_siblings.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.db import connection

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE_S = 0.01  # for those on the way; others need the time to prepare what they bring


class LeaderDied(Exception):
    """Whoever worked for this item ended in the middle: its process is going down."""


@dataclass(eq=False)
class _Turn(Generic[Item, Result]):
    item: Item
    outcome: Result | Exception = field(default_factory=LeaderDied)
    leads: bool = False
    is_alone: bool = False
    called: threading.Event = field(default_factory=threading.Event)


class GroupCommit(Generic[Item, Result]):
    """``run`` does what is to be done for several items in one transaction; of each, its result or its error."""

    def __init__(
        self, run: Callable[[Sequence[Item]], Sequence[Result | Exception]], *, most: int = 32
    ) -> None:
        self._run = run
        self._most = most
        self._changed = threading.Condition()
        self._waiting: list[_Turn[Item, Result]] = []
        self._at_work = False
        self._coming = 0
        self._this_thread = threading.local()

    @contextmanager
    def on_the_way(self) -> Iterator[None]:
        """Around what leads to ``submit``, or to nothing."""
        with self._changed:
            self._coming += 1
        self._this_thread.comes = True
        try:
            yield
        finally:
            self._arrive()

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

    def _arrive(self, turn: _Turn[Item, Result] | None = None) -> None:
        with self._changed:
            if getattr(self._this_thread, "comes", False):
                self._this_thread.comes = False
                self._coming -= 1
            if turn is not None:
                self._waiting.append(turn)
                turn.leads, self._at_work = not self._at_work, True
            self._changed.notify_all()

    def _take_turn(self, turn: _Turn[Item, Result]) -> None:
        self._arrive(turn)
        if not turn.leads:
            turn.called.wait()
        if turn.leads:
            self._lead()
        if turn.is_alone:
            self._work_for([turn])

    def _lead(self) -> None:
        """The leader is the first who waits, so it works for itself as well; then the next first takes over."""
        with self._changed:
            self._changed.wait_for(self._is_complete, PATIENCE_S)
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            self._work_for(group)
        finally:
            self._hand_over()
            for turn in group[1:]:
                turn.called.set()

    def _is_complete(self) -> bool:
        return not self._coming or len(self._waiting) >= self._most

    def _hand_over(self) -> None:
        with self._changed:
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
            # One of them is to blame, and the others must not suffer for it: each tries by itself.
            for turn in group:
                turn.is_alone = True
            return
        for turn, outcome in zip(group, outcomes, strict=True):
            turn.outcome = outcome
