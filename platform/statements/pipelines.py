"""PostgreSQL gets what belongs together without a wait after each statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from pipelined_postgresql.base import DatabaseWrapper


def this_database() -> BaseDatabaseWrapper:
    """This thread's. Looking it up costs as much as a little work, so whoever needs it twice keeps it."""
    return connections[DEFAULT_DB_ALIAS]


@contextmanager
def pipelined() -> Iterator[None]:
    """PostgreSQL gets the statements of the block without a wait for each; whoever asks for an answer waits for all.

    What goes wrong is raised there, or at the latest where the block ends. Around a transaction, its BEGIN and COMMIT go
    the same way.
    """
    database = this_database()
    if not isinstance(database, DatabaseWrapper):
        yield
        return
    with database.pipelined():
        yield


@contextmanager
def cursor_of(database: BaseDatabaseWrapper) -> Iterator[Any]:
    """One that leaves the values to PostgreSQL, so that it plans a statement once for a connection, not each time."""
    if not isinstance(database, DatabaseWrapper):
        with database.cursor() as cursor:
            yield cursor
        return
    database.ensure_connection()
    with database.wrap_database_errors:
        inner = psycopg.Cursor(database.connection)
    with database._prepare_cursor(inner) as cursor:  # type: ignore[attr-defined]
        yield cursor
