"""SELECTs, one by one or several at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable, get_related_populators

from pipelined_postgresql.base import DatabaseWrapper

from .pipelines import cursor_of, this_database
from .values import bound

Row = TypeVar("Row")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Ask(Generic[Answer]):
    """For ``together``: a statement with its values, and how its answer is read."""

    text: str
    parameters: Sequence[Any]
    read: Callable[[Any], Answer]  # of a cursor that has run it


@dataclass(frozen=True)
class Records:
    """Rows that become records of one model, with those that they refer to: as ``ModelIterable`` makes them.

    It finds out at every run anew how, which takes longer than to make one record.
    """

    model: type[Model]
    place: slice  # of a row's own columns
    columns: list[str]
    converters: list[tuple[int, list[Callable[..., Any]], Any]]
    related: list[Any]

    @classmethod
    def of(cls, queryset: Any, compiler: Any, converters: dict[int, tuple[Any, Any]]) -> Records | None:
        """None where rows become something else, or something more."""
        if queryset._iterable_class is not ModelIterable or compiler.annotation_col_map:
            return None
        if queryset._known_related_objects or queryset._prefetch_related_lookups:
            return None
        places = compiler.klass_info["select_fields"]
        place = slice(places[0], places[-1] + 1)
        return cls(
            queryset.model,
            place,
            [column[0].target.attname for column in compiler.select[place]],
            [(number, made, expression) for number, (made, expression) in converters.items()],
            get_related_populators(compiler.klass_info, compiler.select, queryset.db),  # type: ignore[call-arg]
        )

    def read(self, rows: list[Any], database: BaseDatabaseWrapper) -> list[Any]:
        return [self._record(row, database) for row in rows]

    def _record(self, row: Sequence[Any], database: BaseDatabaseWrapper) -> Any:
        values = list(row)
        for number, converters, expression in self.converters:
            for converter in converters:
                values[number] = converter(values[number], expression, database)
        record = self.model.from_db(database.alias, self.columns, values[self.place])
        for other in self.related:
            other.populate(values, record)
        return record


class Statement(Generic[Row]):
    """A SELECT. ``build`` is called when it is first run, because models may not be loaded before."""

    def __init__(self, build: Callable[[], QuerySet[Any, Row]]) -> None:
        self._build = build

    def all(self, **values: Any) -> list[Row]:
        database = this_database()
        _queryset, _compiler, text, parameters = self._made
        with cursor_of(database) as cursor:
            cursor.execute(text, bound(parameters, values, database))
            return self._rows(cursor.fetchall(), database)

    def first(self, **values: Any) -> Row | None:
        """Of a query that ends in ``[:1]``, or finds one row at most."""
        return next(iter(self.all(**values)), None)

    def ask(self, **values: Any) -> Ask[list[Row]]:
        """For ``together``."""
        database = this_database()
        _queryset, _compiler, text, parameters = self._made
        return Ask(
            text, bound(parameters, values, database), lambda cursor: self._rows(cursor.fetchall(), database)
        )

    @property
    def text(self) -> str:
        return self._made[2]

    def _rows(self, rows: list[Any], database: BaseDatabaseWrapper) -> list[Row]:
        queryset, compiler, _text, _parameters = self._made
        if not rows:
            return []
        if self._records is not None:
            return self._records.read(rows, database)
        mine = copy.copy(compiler)
        mine.connection = database
        mine.execute_sql = lambda *_args, **_kwargs: [rows]
        mine.get_converters = lambda _columns: self._converters
        run = queryset._chain()  # type: ignore[attr-defined]
        run.query.get_compiler = lambda *_args, **_kwargs: mine
        return list(run)

    @cached_property
    def _made(self) -> tuple[QuerySet[Any, Row], Any, str, Sequence[Any]]:
        queryset = self._build()
        compiler = queryset.query.get_compiler(connection=this_database())
        text, parameters = compiler.as_sql()
        self._converters = compiler.get_converters([column[0] for column in compiler.select])
        compiler.connection = None  # this thread's; every run has its own
        self._records = Records.of(queryset, compiler, self._converters)
        return queryset, compiler, text, parameters


def together(*asks: Ask[Any]) -> list[Any]:
    """The answer to each. PostgreSQL gets all of them at once, and works through them in their order."""
    database = this_database()
    if not isinstance(database, DatabaseWrapper):
        return [_alone(ask, database) for ask in asks]
    with ExitStack() as opened:
        cursors = [opened.enter_context(cursor_of(database)) for _ask in asks]
        with database.pipelined():
            for cursor, ask in zip(cursors, asks, strict=True):
                cursor.execute(ask.text, ask.parameters)
        database.wait_for_all()  # if the pipeline was there before
        return [ask.read(cursor) for cursor, ask in zip(cursors, asks, strict=True)]


def _alone(ask: Ask[Answer], database: BaseDatabaseWrapper) -> Answer:
    with cursor_of(database) as cursor:
        cursor.execute(ask.text, ask.parameters)
        return ask.read(cursor)
