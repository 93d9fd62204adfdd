"""Waking other processes: LISTEN/NOTIFY on PostgreSQL; with SQLite, where all are on one host, the host's own means.

A bell is a hint. Who waits for one also looks at the tables now and then.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Protocol

import psycopg
from django.conf import settings
from django.db import connection, transaction

from jobs import local_bells
from statements import Write, send

WORK = "atelier_work"  # a job was queued, and the payload is its id; a slot became free: FREED; or something else
FREED = "freed"
ENDED = "atelier_ended"  # a job ended; the payload is its id
BELLS = "bells"  # the folder below DATA_DIR


def ring(payloads: Mapping[str, str]) -> None:
    """The payload for each channel. Heard when, and only when, the transaction around it commits."""
    send(*to_ring(payloads))


def to_ring(payloads: Mapping[str, str]) -> list[Write]:
    """What has to be sent for it, in the transaction that this is called in."""
    if not _database_rings():
        transaction.on_commit(partial(_ring_locally, payloads))
        return []
    calls = ", ".join(["pg_notify(%s, %s)"] * len(payloads))
    words = [word for bell in payloads.items() for word in bell]
    return [Write("", f"SELECT {calls}", [words], is_select=True)]


def _ring_locally(payloads: Mapping[str, str]) -> None:
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
    if _database_rings():
        return PgListener(channel)
    return local_bells.LocalEar(settings.DATA_DIR / BELLS, channel)


def _database_rings() -> bool:
    return connection.vendor == "postgresql"


class PgListener:
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
