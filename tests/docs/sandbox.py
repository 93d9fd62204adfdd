"""A folder in which the commands of docs/operations.md run: its paths, ports and system programs are replaced."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from tests.docs.page import ROOT
from tests.docs.replacements import replaced
from tests.support.ports import free_port
from tests.support.postgres import Server

PATHS = (
    "/opt/atelier",
    "/etc/atelier",
    "/etc/systemd/system",
    "/etc/nginx/conf.d",
    "/etc/ssl/atelier",
    "/var/lib/atelier",
    "/var/log/nginx",
    "/root/",
)
FOLDERS = ("bin", "root", "etc/systemd/system", "etc/nginx/conf.d", "var/log/nginx", "var/lib/atelier", "opt")
END = "end-of-block"
NGINX = """{user}pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{}}
http {{
    access_log {folder}/var/log/nginx/access.log;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    include {folder}/etc/nginx/conf.d/*.conf;
}}
"""


class CommandFailed(AssertionError):
    pass


class Sandbox:
    """``run`` executes a code block of the page in one shell, as an administrator pastes them one after the other."""

    def __init__(self, folder: Path, database: Server, replacements: dict[str, str]) -> None:
        self.folder = folder
        for name in FOLDERS:
            (folder / name).mkdir(parents=True)
        web, runner = free_port(), free_port()
        tls, plain = free_port(), free_port()
        self.replacements = {
            **{path: f"{folder}{path}" for path in PATHS},
            "127.0.0.1:5432": f"127.0.0.1:{database.port}",
            "127.0.0.1:8000": f"127.0.0.1:{web}",
            "127.0.0.1:9000": f"127.0.0.1:{runner}",
            "RUNNER_PORT=9000": f"RUNNER_PORT={runner}",
            "127.0.0.1:443": f"127.0.0.1:{tls}",
            "listen 443": f"listen 127.0.0.1:{tls}",
            "listen 80": f"listen 127.0.0.1:{plain}",
            **replacements,
        }
        path = os.environ["PATH"]
        values = {"root": str(ROOT), "path": f"{database.binaries}:{path}", "nginx": shutil.which("nginx")}
        (folder / "sandbox.json").write_text(json.dumps(values | {"replacements": self.replacements}))
        user = "user root;\n" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, user=user))
        environment = {
            "PATH": f"{folder / 'bin'}:{database.binaries}:{path}",
            "HOME": str(folder / "root"),
            "SANDBOX": str(folder),
            "PGHOST": database.folder,
            "PGPORT": str(database.port),
            "PGDATABASE": "postgres",
        }
        stand_ins = Path(__file__).with_name("stand_ins.py")
        subprocess.run([sys.executable, stand_ins, "create_scripts"], env=environment, check=True)
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.run("set -euo pipefail")

    def run(self, block: str) -> str:
        """Run a block and return what it prints. Raises CommandFailed at the first command that fails."""
        # A command that fails before "&&" does not end a shell that has "set -e".
        block = replaced(block, self.replacements).replace(" && ", "\n")
        assert self._shell.stdin
        assert self._shell.stdout
        with suppress(BrokenPipeError):
            print(block, f"\nprintf '\\n{END}\\n'", file=self._shell.stdin, flush=True)
        printed = []
        for line in self._shell.stdout:
            if line.strip() == END:
                return "".join(printed)
            printed.append(line)
        raise CommandFailed(f"{block}\n{''.join(printed)}\n{self.logs()}")

    def value(self, name: str) -> str:
        """A variable of the shell."""
        return self.run(f'echo "${name}"').strip()

    def path(self, name: str) -> Path:
        return self.folder / name.lstrip("/")

    def logs(self) -> str:
        return "\n".join(
            f"== {path.name}\n{path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.log"))
        )

    def stop(self) -> None:
        self._shell.kill()
        self._shell.communicate()
        started = self.folder / "processes"
        pids = [int(line) for line in started.read_text().split()] if started.exists() else []
        pid_file = self.folder / "nginx.pid"
        if pid_file.exists() and (pid := pid_file.read_text().strip()):
            pids.append(int(pid))
        with_children = []
        for pid in pids:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                with_children += [process, *process.children(recursive=True)]
        for process in with_children:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)
        _gone, alive = psutil.wait_procs(with_children, timeout=20)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
