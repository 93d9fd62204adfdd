"""Waking other processes: LISTEN/NOTIFY where the database has it. Elsewhere they poll."""

from __future__ import annotations

import psycopg
from django.db import connection

WORK = "atelier_work"  # a job was queued, or a slot became free
ENDED = "atelier_ended"  # a job ended; the payload is its id


def database_wakes() -> bool:
    return connection.vendor == "postgresql"


def ring(channel: str, payload: str = "") -> None:
    """Heard when, and only when, the transaction around it commits."""
    if database_wakes():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [channel, payload])


class Ear:
    """A connection of its own that listens to one channel. Opened when first used, and again after it broke."""

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
