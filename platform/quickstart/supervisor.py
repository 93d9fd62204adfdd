"""Runs all processes of one host under supervisord, which ends when this process ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from configparser import RawConfigParser
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STOP_WAIT_S = 15


@dataclass(frozen=True)
class Program:
    """One program of the supervisord configuration."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def _quoted(text: str) -> str:
    # supervisord expands % and splits commands as a shell does.
    return '"' + text.replace("%", "%%").replace('"', '\\"') + '"'


def write_configuration(programs: list[Program], run_dir: Path, logs: Path, root: Path) -> str:
    """Write supervisord.conf to ``run_dir`` and return its path."""
    config = RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": str(logs / "supervisord.log"),
        "pidfile": str(run_dir / "supervisord.pid"),
        "childlogdir": str(logs),
    }
    for program in programs:
        config[f"program:{program.name}"] = {
            "command": " ".join(_quoted(part) for part in program.command),
            "directory": str(root),
            "environment": ",".join(
                f"{name}={_quoted(value)}" for name, value in program.environment.items()
            ),
            "autorestart": "true",
            "startsecs": "1",
            "startretries": "1000000",
            "killasgroup": "true",
            "stopwaitsecs": str(STOP_WAIT_S - 5),
            "redirect_stderr": "true",
            "stdout_logfile": str(logs / f"{program.name}.log"),
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": "2",
        }
    path = run_dir / "supervisord.conf"
    with path.open("w") as file:
        config.write(file)
    return str(path)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Supervisor:
    """supervisord as a child process. It restarts programs that exit; all of them end when this process ends."""

    def __init__(self, config: str) -> None:
        # Orphaned grandchildren are reparented to this process, so that stop() finds them too.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", config],
            start_new_session=True,
            preexec_fn=_die_with_parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        if self.is_running:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self._kill_remaining()

    @staticmethod
    def _kill_remaining() -> None:
        remaining = psutil.Process(os.getpid()).children(recursive=True)
        for process in remaining:
            process.kill()
        psutil.wait_procs(remaining, timeout=5)
