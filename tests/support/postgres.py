"""A real PostgreSQL for a test run: Debian's binaries, a temporary folder, a free port, and no waiting for the disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port

SERVER_USER = "postgres"  # what a server started by root runs as
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


class NoPostgres(Exception):
    """In one line, why there is none."""


@dataclass(frozen=True)
class Server:
    """A running server, which can be stopped and started again on the same port."""

    binaries: Path
    folder: str
    port: int

    @property
    def url(self) -> str:
        return f"postgres://atelier@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1 " + " ".join(
            f"-c {name}={value}" for name, value in FAST.items()
        )
        self._control("-l", f"{self.folder}/log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Close all connections and stop. ``immediate``: without writing to the disk."""
        self._control("-m", mode, "stop")

    def _control(self, *arguments: str) -> None:
        _run(self.binaries / "pg_ctl", "-D", f"{self.folder}/data", "-w", *arguments)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The DATABASE_URL of a server that lives as long as the context. Raises NoPostgres."""
    with server() as started:
        yield started.url


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A server that lives as long as the context. Raises NoPostgres."""
    binaries = _binaries()
    with tempfile.TemporaryDirectory(prefix="atelier-postgres-") as folder:
        _give_to_its_user(Path(folder))
        created = ["-D", f"{folder}/data", "-U", "atelier", "-A", "trust", "-E", "UTF8", "--no-sync"]
        _run(binaries / "initdb", *created)
        started = Server(binaries, folder, free_port())
        started.start()
        try:
            yield started
        finally:
            started.stop("immediate")


def _binaries() -> Path:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if debian:
        return debian[-1].parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    raise NoPostgres("no PostgreSQL server binaries: neither /usr/lib/postgresql nor initdb on the PATH")


def _give_to_its_user(folder: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(folder, SERVER_USER, SERVER_USER)


def _run(*command: object) -> None:
    """As root, as another user: PostgreSQL refuses to be run by root."""
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        words = ["runuser", "-u", SERVER_USER, "--", *words]
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{words} failed: {done.stderr or done.stdout}")


def main(command: list[str]) -> int:
    """Runs a command with DATABASE_URL set: ``python -m tests.support.postgres python -m pytest tests/jobs``."""
    try:
        with postgres() as url:
            return subprocess.call(command, env=os.environ | {"DATABASE_URL": url})
    except NoPostgres as reason:
        if os.environ.get("REQUIRE_POSTGRES"):
            raise
        print(f"skipped: {reason}")
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
