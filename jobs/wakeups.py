"""Notifications between processes: LISTEN/NOTIFY on PostgreSQL; Unix datagram sockets on one host with SQLite.

A notification is a hint: it may be lost. Listeners also poll the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Protocol

import psycopg
from django.conf import settings
from django.db import connection, transaction

from . import local_bells

WORK = "atelier_work"  # a job was queued, or a slot became free; no payload
ENDED = "atelier_ended"  # a job ended; the payload is its id
BELLS = "bells"  # the folder below DATA_DIR


def notify(payloads: Mapping[str, str]) -> None:
    """Send one payload per channel. It is delivered when, and only when, the surrounding transaction commits."""
    if not _database_notifies():
        transaction.on_commit(partial(_notify_locally, payloads))
        return
    calls = ", ".join(["pg_notify(%s, %s)"] * len(payloads))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {calls}", [word for pair in payloads.items() for word in pair])


def _notify_locally(payloads: Mapping[str, str]) -> None:
    for channel, payload in payloads.items():
        local_bells.ring(settings.DATA_DIR / BELLS, channel, payload)


class Ear(Protocol):
    """Listens to one channel. Opened when first used, and again after it broke."""

    def open(self) -> None: ...

    def hear(self, timeout_s: float) -> list[str]:
        """Payloads rung since the last call; waits for one, at most ``timeout_s``."""
        ...

    def close(self) -> None: ...


def ear(channel: str) -> Ear:
    if _database_notifies():
        return DatabaseEar(channel)
    return local_bells.LocalEar(settings.DATA_DIR / BELLS, channel)


def _database_notifies() -> bool:
    return connection.vendor == "postgresql"


class DatabaseEar:
    """On a connection of its own."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self._connection: psycopg.Connection | None = None

    def hear(self, timeout_s: float) -> list[str]:
        """Payloads rung since the last call; waits for one, at most ``timeout_s``."""
        self.open()
        assert self._connection is not None
        try:
            return self._notices(timeout_s)
        except psycopg.Error:
            self.close()
            raise

    def open(self) -> None:
        if self._connection is None:
            parameters = connection.get_connection_params() | {"autocommit": True}
            parameters.pop("cursor_factory", None)
            opened = psycopg.connect(**parameters)
            opened.execute(f"LISTEN {self.channel}")
            self._connection = opened

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _notices(self, timeout_s: float) -> list[str]:
        assert self._connection is not None
        return [notice.payload for notice in self._connection.notifies(timeout=timeout_s, stop_after=1)]
