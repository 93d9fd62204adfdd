"""Answers of a statement, kept as long as no table in it has changed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model, QuerySet
from django.db.models.base import ModelState

from statements import Statement
from table_versions import current, triggers

Row = TypeVar("Row")
AnyModel = TypeVar("AnyModel", bound=Model)

MOST = 1024  # answers of one statement
LONGEST_S = 30.0  # if ever a change comes past the triggers, as a replica's do
TABLES = re.compile(r'(?:FROM|JOIN) "(\w+)"')


@dataclass(frozen=True)
class _Answer(Generic[Row]):
    rows: list[Row]
    versions: tuple[str | None, ...]
    since: float


class Remembered(Generic[Row]):
    """A ``Statement`` over watched tables. Whoever asks gets rows of its own, but must not change what hangs on them."""

    def __init__(self, build: Callable[[], QuerySet[Any, Row]]) -> None:
        self._statement = Statement(build)
        self._answers: dict[tuple[Any, ...], _Answer[Row]] = {}

    def all(self, **values: Any) -> list[Row]:
        versions = current.versions()
        now = tuple(versions.get(table) for table in self._tables) if versions else (None,)
        if None in now:
            return self._statement.all(**values)
        key = tuple(values.items())
        answer = self._answers.get(key)
        if answer is None or answer.versions != now or time.monotonic() - answer.since > LONGEST_S:
            answer = _Answer(self._statement.all(**values), now, time.monotonic())
            self._keep(key, answer)
        return [_own(row) for row in answer.rows]

    def first(self, **values: Any) -> Row | None:
        """Of a query that ends in ``[:1]``, or finds one row at most."""
        return next(iter(self.all(**values)), None)

    def forget(self, **values: Any) -> None:
        self._answers.pop(tuple(values.items()), None)

    def _keep(self, key: tuple[Any, ...], answer: _Answer[Row]) -> None:
        if len(self._answers) >= MOST:
            self._answers = {}
        self._answers[key] = answer

    @cached_property
    def _tables(self) -> tuple[str, ...]:
        tables = tuple(sorted(set(TABLES.findall(self._statement.text))))
        if unwatched := set(tables) - triggers.watched_tables().keys():
            raise ImproperlyConfigured(f"changes of {', '.join(sorted(unwatched))} are not watched")
        return tables


def _own(row: Row) -> Row:
    """A model's instance is copied, with those that it refers to."""
    if not isinstance(row, Model):
        return row
    mine = _copied(row)
    related = mine._state.fields_cache
    related.update({name: other and _copied(other) for name, other in related.items()})
    return mine


def _copied(row: AnyModel) -> AnyModel:
    """As ``copy.copy``, which takes the way of pickling."""
    mine = row.__class__.__new__(row.__class__)
    vars(mine).update(vars(row))
    mine._state = ModelState()
    mine._state.db, mine._state.adding = row._state.db, row._state.adding
    mine._state.fields_cache = dict(row._state.fields_cache)
    return mine
