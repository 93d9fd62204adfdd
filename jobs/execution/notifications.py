"""Notifications between processes: LISTEN/NOTIFY on PostgreSQL. On SQLite, listeners poll for any commit.

A notification is a hint: it may be lost. Listeners also poll the tables.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

import psycopg
from django.db import connection

WORK = "atelier_work"  # a job was queued, or a slot became free; no payload
ENDED = "atelier_ended"  # a job ended; the payload is its id
POLL_S = 0.005  # between two queries of SQLite's data version


def notify(payloads: Mapping[str, str]) -> None:
    """Send one payload per channel. It is delivered when, and only when, the surrounding transaction commits."""
    if not _database_notifies():
        return
    calls = ", ".join(["pg_notify(%s, %s)"] * len(payloads))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {calls}", [word for pair in payloads.items() for word in pair])


class Listener(Protocol):
    """Listens to one channel. It opens at the first use, and again after an error."""

    def open(self) -> None: ...

    def wait(self, timeout_s: float) -> list[str]:
        """Wait for a notification, at most ``timeout_s``; returns the payloads that arrived since the last call.

        An empty list means that it is time to poll the tables.
        """
        ...

    def close(self) -> None: ...


def listener(channel: str) -> Listener:
    return PgListener(channel) if _database_notifies() else SqliteListener()


def _database_notifies() -> bool:
    return connection.vendor == "postgresql"


class SqliteListener:
    """Polls ``PRAGMA data_version``, which changes with every commit of another connection to the database file.

    It knows neither channels nor payloads, so that each commit is a reason to poll the tables.
    """

    def __init__(self) -> None:
        self._version = 0

    def open(self) -> None:
        if not self._version:
            self._version = _data_version()

    def wait(self, timeout_s: float) -> list[str]:
        self.open()
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            time.sleep(POLL_S)
            if (version := _data_version()) != self._version:
                self._version = version
                break
        return []

    def close(self) -> None:
        self._version = 0


def _data_version() -> int:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA data_version")
        return int(cursor.fetchone()[0])


class PgListener:
    """LISTEN, on a connection of its own."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self._connection: psycopg.Connection | None = None

    def open(self) -> None:
        if self._connection is None:
            parameters = connection.get_connection_params() | {"autocommit": True}
            parameters.pop("cursor_factory", None)
            opened = psycopg.connect(**parameters)
            opened.execute(f"LISTEN {self.channel}")
            self._connection = opened

    def wait(self, timeout_s: float) -> list[str]:
        self.open()
        assert self._connection is not None
        try:
            return [notice.payload for notice in self._connection.notifies(timeout=timeout_s, stop_after=1)]
        except psycopg.Error:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
