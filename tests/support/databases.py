"""The databases that a test of real processes runs on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.migrated_database import MigratedDatabase
from tests.support.postgres import NoPostgres, postgres

KINDS = ("sqlite", "postgres")


@contextmanager
def database(kind: str, data_dir: Path, migrated: MigratedDatabase) -> Iterator[str]:
    """URL of a new database; SQLite's is migrated. PostgreSQL is skipped if no server can be started, unless REQUIRE_POSTGRES is set."""
    if kind == "sqlite":
        yield migrated.create(data_dir / "atelier.sqlite3")
        return
    try:
        with postgres() as url:
            yield url
    except NoPostgres as reason:
        if os.environ.get("REQUIRE_POSTGRES"):
            raise
        pytest.skip(str(reason))
