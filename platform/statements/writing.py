"""INSERTs, UPDATEs and DELETEs; those that nobody waits for several at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, Generic, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import AutoField, Field, Model, QuerySet, sql

from pipelined_postgresql.base import DatabaseWrapper

from .pipelines import cursor_of, this_database
from .reading import Ask
from .values import bound

Record = TypeVar("Record", bound=Model)


@dataclass(frozen=True)
class Write:
    """For ``send``: a statement that nobody waits for, and its values, once for each time that it is run."""

    table: str
    text: str
    runs: Sequence[Sequence[Any]]
    is_select: bool = False  # of a function that does something, as pg_notify; PostgreSQL's only


def send(*writes: Write) -> None:
    """PostgreSQL gets them as one statement, because each costs the way there and back into the driver.

    None sees what another one does. Two of one table are two statements, so that both may change the same row.
    """
    database = this_database()
    if database.vendor == "postgresql":
        for text, parameters in _merged(writes):
            _execute(database, text, [parameters])
    else:
        for write in writes:
            _execute(database, write.text, write.runs)


def _merged(writes: Iterable[Write]) -> list[tuple[str, list[Any]]]:
    rounds: list[dict[str, Write]] = []
    for write in writes:
        place = next((found for found in rounds if write.table not in found), None)
        if place is None:
            rounds.append(place := {})
        place[write.table] = write
    return [_one_statement(sorted(place.values(), key=lambda write: write.is_select)) for place in rounds]


def _one_statement(writes: list[Write]) -> tuple[str, list[Any]]:
    """What begins with WITH is done even if nobody asks for it, but for a SELECT."""
    *before, last = writes
    parts = ", ".join(f"part{number} AS ({write.text})" for number, write in enumerate(before))
    parameters = [value for write in writes for run in write.runs for value in run]
    return f"WITH {parts} {last.text}" if parts else last.text, parameters


def _execute(database: BaseDatabaseWrapper, text: str, runs: Sequence[Sequence[Any]]) -> None:
    with cursor_of(database) as cursor:
        if len(runs) == 1:
            cursor.execute(text, runs[0])
        else:
            cursor.executemany(text, runs)


class UpdateStatement:
    """An UPDATE of columns by name. Without ``changes``, a DELETE."""

    def __init__(self, build: Callable[[], QuerySet[Any, Any]], **changes: Any) -> None:
        self._build = build
        self._changes = changes

    def run(self, **values: Any) -> int:
        """How many rows it changed."""
        database = this_database()
        _table, text, parameters = self._made
        with cursor_of(database) as cursor:
            cursor.execute(text, bound(parameters, values, database))
            if isinstance(database, DatabaseWrapper):
                database.wait_for_all()
            return _changed(cursor)

    def ask(self, **values: Any) -> Ask[int]:
        """For ``together``: how many rows it changed."""
        _table, text, parameters = self._made
        return Ask(text, bound(parameters, values, this_database()), _changed)

    def write(self, **values: Any) -> Write:
        """For ``send``."""
        table, text, parameters = self._made
        return Write(table, text, [bound(parameters, values, this_database())])

    @cached_property
    def _made(self) -> tuple[str, str, Sequence[Any]]:
        query: Any = self._build().query.chain(sql.UpdateQuery if self._changes else sql.DeleteQuery)
        query.clear_ordering(force=True)
        if self._changes:
            query.add_update_values(self._changes)
        text, parameters = query.get_compiler(connection=this_database()).as_sql()
        return query.get_meta().db_table, text, parameters


def _changed(cursor: Any) -> int:
    return int(cursor.rowcount)


class InsertStatement(Generic[Record]):
    """An INSERT of whole rows, whose own automatic keys stay unknown: for rows that nobody asks for by those."""

    def __init__(self, model: Callable[[], type[Record]]) -> None:
        self._model = model

    def run(self, records: Sequence[Record]) -> None:
        """As ``bulk_create``: no signals, and the records count as saved."""
        send(self.write(records))

    def write(self, records: Sequence[Record]) -> Write:
        """For ``send``. The records count as saved from now on."""
        database = this_database()
        on_postgresql = database.vendor == "postgresql"
        runs = [[self._rows_as_json(records)]] if on_postgresql else self._rows(records, database)
        for record in records:
            record._state.adding, record._state.db = False, database.alias
        return Write(self._meta.db_table, self._text, runs)

    def _rows_as_json(self, records: Sequence[Record]) -> str:
        """One parameter for all, because each would be looked at by the driver."""
        names, read, filled_in = self._read
        for record in records:
            for field in filled_in:
                field.pre_save(record, add=True)
        # Default: PostgreSQL reads a UUID, a moment, a day and a decimal number as Python writes them.
        return json.dumps([dict(zip(names, read(record), strict=True)) for record in records], default=str)

    def _rows(self, records: Sequence[Record], database: BaseDatabaseWrapper) -> list[list[Any]]:
        return [
            [field.get_db_prep_save(field.pre_save(record, add=True), database) for field in self._fields]
            for record in records
        ]

    @property
    def _meta(self) -> Any:
        return self._model()._meta

    @cached_property
    def _fields(self) -> list[Field[Any, Any]]:
        fields = [field for field in self._meta.local_concrete_fields if not isinstance(field, AutoField)]
        if changed := [field.name for field in fields if _is_stored_otherwise(field)]:
            raise ImproperlyConfigured(f"not stored as they are: {', '.join(changed)} of {self._meta.label}")
        return fields

    @cached_property
    def _read(self) -> tuple[list[str], Callable[[Record], tuple[Any, ...]], list[Field[Any, Any]]]:
        """The columns, what reads them off a record, and the fields that fill themselves in."""
        filled_in = [field for field in self._fields if type(field).pre_save is not Field.pre_save]
        attributes = attrgetter(*(field.attname for field in self._fields))
        return [str(field.column) for field in self._fields], attributes, filled_in

    @cached_property
    def _text(self) -> str:
        database = this_database()
        quote = database.ops.quote_name
        table = quote(self._meta.db_table)
        columns = ", ".join(quote(str(field.column)) for field in self._fields)
        if database.vendor == "postgresql":
            rows = f"json_populate_recordset(NULL::{table}, %s)"
            return f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {rows}"
        places = ", ".join(["%s"] * len(self._fields))
        return f"INSERT INTO {table} ({columns}) VALUES ({places})"


def _is_stored_otherwise(field: Field[Any, Any]) -> bool:
    """A field that encrypts, say: then what the record holds must not become a row."""
    ways = ("get_prep_value", "get_db_prep_value", "get_db_prep_save")
    return any(not getattr(type(field), way).__module__.startswith("django.db.models.") for way in ways)
