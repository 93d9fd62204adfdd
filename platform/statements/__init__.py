"""Queries whose SQL is made once in a process. For a query by key, making the SQL takes Django longer than running it.

    QUEUED = Statement(lambda: Job.objects.filter(source=given("source"), state=State.QUEUED).values_list("pk"))
    QUEUED.all(source=1)

Only for the few queries that every generation waits for; everywhere else the ORM as it is.
"""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, TypeVar

import psycopg
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import AutoField, Expression, Field, Model, QuerySet, sql

Row = TypeVar("Row")
Record = TypeVar("Record", bound=Model)


def given(name: str) -> Any:
    """Stands in a query for a value that is given when it is run: the value of a column, as a foreign key's id."""
    return _Given(name)


class _Given(Expression):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", (self,)


class Statement(Generic[Row]):
    """A SELECT. ``build`` is called when it is first run, because models may not be loaded before."""

    def __init__(self, build: Callable[[], QuerySet[Any, Row]]) -> None:
        self._build = build

    def all(self, **values: Any) -> list[Row]:
        queryset, compiler, text, parameters = self._made
        bound = copy.copy(compiler)
        bound.connection = connection
        bound.execute_sql = lambda *_args, **_kwargs: [_rows(text, _bound(parameters, values))]
        bound.get_converters = lambda _columns: self._converters
        run = queryset._chain()  # type: ignore[attr-defined]
        run.query.get_compiler = lambda *_args, **_kwargs: bound
        return list(run)

    def first(self, **values: Any) -> Row | None:
        """Of a query that ends in ``[:1]``, or finds one row at most."""
        return next(iter(self.all(**values)), None)

    @cached_property
    def _made(self) -> tuple[QuerySet[Any, Row], Any, str, Sequence[Any]]:
        queryset = self._build()
        compiler = queryset.query.get_compiler(connection=connection)
        text, parameters = compiler.as_sql()
        self._converters = compiler.get_converters([column[0] for column in compiler.select])
        compiler.connection = None  # this thread's; every run has its own
        return queryset, compiler, text, parameters


class UpdateStatement:
    """An UPDATE of columns by name. Without ``changes``, a DELETE."""

    def __init__(self, build: Callable[[], QuerySet[Any, Any]], **changes: Any) -> None:
        self._build = build
        self._changes = changes

    def run(self, **values: Any) -> int:
        """How many rows it changed."""
        text, parameters = self._made
        with _cursor() as cursor:
            cursor.execute(text, _bound(parameters, values))
            _wait()
            return int(cursor.rowcount)

    def send(self, **values: Any) -> None:
        """As ``run``, where nobody asks how many rows it was."""
        text, parameters = self._made
        with _cursor() as cursor:
            cursor.execute(text, _bound(parameters, values))

    @cached_property
    def _made(self) -> tuple[str, Sequence[Any]]:
        query: Any = self._build().query.chain(sql.UpdateQuery if self._changes else sql.DeleteQuery)
        query.clear_ordering(force=True)
        if self._changes:
            query.add_update_values(self._changes)
        return query.get_compiler(connection=connection).as_sql()


class InsertStatement(Generic[Record]):
    """An INSERT of whole rows, whose own automatic keys stay unknown: for rows that nobody asks for by those."""

    def __init__(self, model: Callable[[], type[Record]]) -> None:
        self._model = model

    def run(self, records: Sequence[Record]) -> None:
        """As ``bulk_create``: no signals, and the records count as saved."""
        text, fields = self._made
        rows = [[_saved(field, record) for field in fields] for record in records]
        with _cursor() as cursor:
            if len(rows) == 1:
                cursor.execute(text, rows[0])
            else:
                cursor.executemany(text, rows)
        for record in records:
            record._state.adding, record._state.db = False, connection.alias

    @cached_property
    def _made(self) -> tuple[str, list[Field[Any, Any]]]:
        meta = self._model()._meta
        fields = [field for field in meta.local_concrete_fields if not isinstance(field, AutoField)]
        quote = connection.ops.quote_name
        columns = ", ".join(quote(str(field.column)) for field in fields)
        places = ", ".join(["%s"] * len(fields))
        return f"INSERT INTO {quote(meta.db_table)} ({columns}) VALUES ({places})", fields


@contextmanager
def pipelined() -> Iterator[None]:
    """PostgreSQL gets the statements of the block without a wait for each; whoever asks for an answer waits for all.

    What goes wrong is raised there, or at the latest where the block ends.
    """
    if connection.vendor != "postgresql":
        yield
        return
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline() as pipeline:
        _open.pipelines = [*_pipelines(), pipeline]
        try:
            yield
        finally:
            _open.pipelines = _pipelines()[:-1]


_open = threading.local()


def _pipelines() -> list[psycopg.Pipeline]:
    return getattr(_open, "pipelines", [])


def _wait() -> None:
    for pipeline in _pipelines()[-1:]:
        pipeline.sync()


def _saved(field: Field[Any, Any], record: Model) -> Any:
    return field.get_db_prep_save(field.pre_save(record, add=True), connection)


def _rows(text: str, parameters: tuple[Any, ...]) -> list[Any]:
    with _cursor() as cursor:
        cursor.execute(text, parameters)
        return cursor.fetchall()


@contextmanager
def _cursor() -> Iterator[Any]:
    """One that leaves the values to PostgreSQL, so that it plans a statement once for a connection, not each time."""
    with connection.cursor() as cursor:
        if cursor.db.vendor == "postgresql":
            cursor.cursor = psycopg.Cursor(cursor.db.connection)
        yield cursor


def _bound(parameters: Sequence[Any], values: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        _adapted(values[parameter.name], connection) if isinstance(parameter, _Given) else parameter
        for parameter in parameters
    )


def _adapted(value: Any, connection: BaseDatabaseWrapper) -> Any:
    """As a column's field would hand it to the database."""
    match value:
        case uuid.UUID() if not connection.features.has_native_uuid_field:
            return value.hex
        case datetime():
            return connection.ops.adapt_datetimefield_value(value)
        case date():
            return connection.ops.adapt_datefield_value(value)
        case str():
            return str(value)  # of an enumeration, its value
        case Decimal():
            return connection.ops.adapt_decimalfield_value(value, 18, 6)
        case _:
            return value
