"""A database's connection that sends statements without a wait for each, and BEGIN and COMMIT with them.

In a pipeline psycopg waits for PostgreSQL whenever autocommit changes and after each BEGIN and COMMIT, so that a transaction
of two questions takes six ways there and back. Here it takes two: a transaction that begins in a pipeline is BEGIN and
COMMIT as two more statements of it, and psycopg stays in autocommit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.utils import debug_transaction

IDLE = psycopg.pq.TransactionStatus.IDLE


class DatabaseWrapper(base.DatabaseWrapper):
    _pipeline: psycopg.Pipeline | None = None
    _open = ExitStack()  # what the pipeline is to be left by
    _began_in_pipeline = False

    @contextmanager
    def pipelined(self) -> Iterator[None]:
        """What goes wrong is raised by whoever waits for an answer, at the end of a transaction, or of this block."""
        if self._pipeline is not None:
            yield
            return
        self.ensure_connection()
        with self.wrap_database_errors, ExitStack() as self._open:
            self._pipeline = self._open.enter_context(self.connection.pipeline())
            try:
                yield
            finally:
                self._pipeline = None

    def wait_for_all(self) -> None:
        """Until every statement that was sent has its answer."""
        if self._pipeline is not None:
            self._pipeline.sync()

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """The one before may have been lost in the middle of a transaction."""
        self._pipeline, self._began_in_pipeline = None, False
        return super().get_new_connection(conn_params)

    def _leave_pipeline(self) -> None:
        self._pipeline = None
        self._open.close()

    def _set_autocommit(self, autocommit: bool) -> None:
        if autocommit and self._began_in_pipeline:
            self._began_in_pipeline = False
        elif not autocommit and self._pipeline is not None:
            with self.wrap_database_errors:
                self.connection.execute("BEGIN", prepare=False)
            self._began_in_pipeline = True
        else:
            super()._set_autocommit(autocommit)  # type: ignore[misc]  # the stubs know no hooks

    def _commit(self) -> None:
        if self.connection is None or not self._began_in_pipeline:
            super()._commit()  # type: ignore[misc]
            return
        with debug_transaction(self, "COMMIT"), self.wrap_database_errors:
            self.connection.execute("COMMIT", prepare=False)
            self._leave_pipeline()

    def _rollback(self) -> None:
        if self.connection is not None and self._began_in_pipeline:
            with contextlib.suppress(psycopg.Error):  # it is rolled back for that, or for something else
                self._leave_pipeline()
        super()._rollback()  # type: ignore[misc]
