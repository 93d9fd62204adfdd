"""The migrated SQLite file of a test run: its first user runs the migrations, the others copy the file.

The migrations take longer than most modules of tests. The workers of a run and its installations of real processes
share the file. It lies in the run's temporary folder, so that no run sees the migrations of another one.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import IO

import pytest

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"


class MigratedDatabase:
    def __init__(self, folder: Path) -> None:
        self._file = folder / "migrated.sqlite3"
        self._lock_file = folder / "migrated.lock"
        self._lock: IO[str] | None = None

    @classmethod
    def of_the_run(cls, factory: pytest.TempPathFactory) -> MigratedDatabase:
        folder = factory.getbasetemp()
        return cls(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)

    def begin(self, target: Path) -> None:
        """Copy the file. If there is none, the caller has to migrate ``target``; others wait until it has."""
        self._lock = self._lock_file.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        if self._file.exists():
            _copy(self._file, target)
            self._release()

    def end(self, target: Path) -> None:
        """``target`` is migrated, and nothing else was written to it."""
        if self._lock:
            _copy(target, self._file)
            self._release()

    def create(self, target: Path) -> str:
        """URL of a new migrated database at this path, for other processes."""
        url = f"sqlite:///{target}"
        self.begin(target)
        if self._lock:
            environment = os.environ | {
                "DATABASE_URL": url,
                "DATA_DIR": str(target.parent),
                "RUNNER_TOKEN": "unused",
            }
            command = [sys.executable, str(MANAGE), "migrate", "--verbosity", "0"]
            subprocess.run(command, env=environment, cwd=MANAGE.parent, check=True)
            self.end(target)
        return url

    def _release(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None


def _copy(source: Path, target: Path) -> None:
    """Through SQLite, which reads the write-ahead log too."""
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)
