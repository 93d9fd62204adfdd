"""An installation with its own database, whose real processes can be killed and started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
MANAGE = [sys.executable, str(ROOT / "manage.py")]
TIMEOUT_S = 240  # only so that a broken installation fails a test instead of blocking it


def eventually(found: Callable[[], Any], what: str) -> Any:
    """Poll until ``found`` returns a true value, and return it."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


class Shell:
    """A persistent ``manage.py shell``, because tests poll often and Django takes seconds to start."""

    LOOP = """
import contextlib, io, json, sys, traceback
from django.db import close_old_connections
for line in sys.stdin:
    printed, failed = io.StringIO(), ""
    close_old_connections()  # the database may have been restarted
    with contextlib.redirect_stdout(printed):
        try:
            exec(json.loads(line), {})
        except Exception:
            failed = traceback.format_exc()
    print(json.dumps([printed.getvalue(), failed]), flush=True)
"""

    def __init__(self, environment: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [*MANAGE, "shell", "--no-imports", "-v", "0", "-c", self.LOOP],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str) -> str:
        """Run the code and return what it prints."""
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            print(json.dumps(code), file=self._process.stdin, flush=True)
            printed, failed = json.loads(self._process.stdout.readline())
        assert not failed, failed
        return printed

    def stop(self) -> None:
        self._process.communicate()


class Installation:
    def __init__(self, data_dir: Path, database_url: str, **settings: str) -> None:
        self.data_dir = data_dir
        self.port, self.runner_port, self.trainer_port = free_port(), free_port(), free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "DATA_DIR": str(data_dir),
            "MODELS_ROOT": str(data_dir / "models"),
            "DATABASE_URL": database_url,
            "SECRET_KEY": "end-to-end",
            "RUNNER_TOKEN": "end-to-end",
            "ATELIER_DEMO": "1",
            "GENERATION_WORKERS": "2",
            "BACKGROUND_WORKERS": "1",
            "JOB_LEASE_S": "8",
            "TORCH_THREADS": "1",
            **settings,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        data_dir.mkdir(parents=True, exist_ok=True)
        self.manage("prepare_demo", self.base_url)
        self.manage("register_runner", "local", self.runner_url())
        self.credentials = json.loads((data_dir / "demo.json").read_text())
        self.client = httpx.Client(
            base_url=self.base_url,
            auth=(self.credentials["key_id"], self.credentials["secret"]),
            timeout=TIMEOUT_S,
        )
        self._shell = Shell(self.environment)
        self._shell.run("")  # wait until it has started, so that running jobs can be observed

    def runner_url(self) -> str:
        return f"http://127.0.0.1:{self.runner_port}"

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [*MANAGE, *arguments], env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, code: str) -> Any:
        """Run code on the installation's database and return what it prints, parsed as JSON."""
        return json.loads(self._shell.run(code))

    def command(self, name: str) -> list[str]:
        return {
            "runner": [
                *[sys.executable, "-m", "gpu_runner", "--host", "127.0.0.1", "--port", str(self.runner_port)],
                *["--models-root", str(self.data_dir / "models"), "--slots", "4"],
            ],
            "trainer": [
                *[sys.executable, "-m", "gpu_runner", "train", "--port", str(self.trainer_port)],
                *["--models-root", str(self.data_dir / "models")],
                *["--work-dir", str(self.data_dir / "trainings")],
            ],
            "web": [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}"],
            "generation": [*MANAGE, "qcluster"],
            "generation-trainer": [*MANAGE, "qcluster"],
            "generation-comfyui": [*MANAGE, "qcluster"],
            "background": [*MANAGE, "qcluster"],
        }[name]

    def start(self, *names: str, environment: dict[str, str] | None = None) -> None:
        """Start processes, with additional variables."""
        for name in names:
            variables = (
                self.environment
                | (environment or {})
                | {
                    "generation": {"Q_CLUSTER_NAME": "generation"},
                    "generation-trainer": {"Q_CLUSTER_NAME": "generation", "RUNNER_NAME": "trainer"},
                }.get(name, {})
            )
            with (self.data_dir / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    self.command(name),
                    env=variables,
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        if "web" in names:
            eventually(self.is_healthy, "the site is healthy")

    def is_healthy(self) -> bool:
        try:
            return self.client.get("/healthz").status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self, name: str) -> None:
        """Kill the process and its children with SIGKILL, like the out-of-memory killer."""
        process = self.processes.pop(name)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            if member.is_running():
                member.kill()
        psutil.wait_procs(family, timeout=30)
        process.wait()

    def stop(self) -> None:
        """Terminate all processes, as a process manager does."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()
        self.client.close()
        self._shell.stop()

    def logs(self) -> str:
        return "\n".join(
            f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted(self.data_dir.glob("*.log"))
        )

    def job(self, task_id: str) -> dict[str, Any] | None:
        """The job with this external id in the database, with its postings."""
        code = f"""
import json
from access.models import Posting
from jobs.models import Job
job = Job.objects.filter(external_id={task_id!r}).first()
print(json.dumps(job and {{
    "id": str(job.id), "state": job.state, "attempt": job.attempt, "step": job.step, "error": job.error_code,
    "begun": job.begun_at is not None, "deaths": job.runner_deaths, "interrupted": job.interrupted, "outputs": job.outputs.count(),
    "timeline": list(job.transitions.order_by("pk").values_list("to_state", "note")),
    "postings": sorted(Posting.objects.filter(job_id=job.id).values_list("kind", flat=True)),
}}))"""
        return self.python(code)
