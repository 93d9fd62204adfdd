"""Overhead of the platform per generation (POST to response, minus engine time), and its memory."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from base64 import b64encode
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import psutil

from bench.report import Row
from tests.e2e.installation import Installation
from tests.support.postgres import postgres

REQUESTS = 50
WORKERS = 4
WARM_UP = 10 * WORKERS  # each worker then has imported its code and has a connection with prepared statements
SMALLEST = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 1, "seed": 1}
ENGINE_SECONDS = """
import json
from jobs.models import Job
print(json.dumps(dict(Job.objects.exclude(external_id="").values_list("external_id", "engine_seconds"))))
"""


def overheads(installation: Installation) -> list[float]:
    """Overhead of each request in milliseconds, sorted."""
    connection = HTTPConnection("127.0.0.1", installation.port)
    for i in range(WARM_UP):
        generate(connection, installation, f"warm-{i}")
    totals = {}
    for i in range(REQUESTS):
        started = time.perf_counter()
        generate(connection, installation, f"bench-{i}")
        totals[f"bench-{i}"] = time.perf_counter() - started
    connection.close()
    engine = installation.python(ENGINE_SECONDS)
    return sorted((total - engine[task]) * 1000 for task, total in totals.items())


def generate(connection: HTTPConnection, installation: Installation, task: str) -> None:
    """Send one request with http.client: another client's CPU time would count as the platform's overhead."""
    body = json.dumps({**SMALLEST, "force_task_id": task})
    credentials = ":".join(installation.credentials[name] for name in ("key_id", "secret"))
    authorization = "Basic " + b64encode(credentials.encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": authorization}
    connection.request("POST", "/sdapi/v1/txt2img", body, headers)
    response = connection.getresponse()
    response_body = response.read()
    if response.status != HTTPStatus.OK:
        raise RuntimeError(f"{response.status}: {response_body[:500]!r}")


def peak_memory(installation: Installation) -> list[Row]:
    rows = []
    for name, process in installation.processes.items():
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        # PSS (proportional set size), because forked workers share most of their pages.
        total = sum(member.memory_full_info().pss for member in family)
        peak = max(
            int(line.split()[1]) * 1024
            for member in family
            for line in Path(f"/proc/{member.pid}/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
        rows.append(Row(f"memory of {name}, all its processes (PSS)", total / 2**20, "MiB"))
        rows.append(Row(f"memory of {name}, its largest process at its peak", peak / 2**20, "MiB"))
    return rows


def measure_database(name: str, database_url: str, data_dir: Path, goal_ms: int) -> list[Row]:
    installation = Installation(
        data_dir, database_url, GENERATION_WORKERS=str(WORKERS), TORCH_THREADS="2", LOG_LEVEL="WARNING"
    )
    try:
        installation.start("runner", "web", "generation", "background")
        milliseconds = overheads(installation)
        rows = [
            Row(f"overhead p50, {name}", statistics.median(milliseconds), "ms", f"≤ {goal_ms} ms"),
            Row(f"overhead p95, {name}", milliseconds[int(len(milliseconds) * 0.95)], "ms"),
        ]
        return rows + (peak_memory(installation) if name == "SQLite" else [])
    finally:
        installation.stop()


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows = measure_database("SQLite", f"sqlite:///{folder / 'atelier.sqlite3'}", folder / "sqlite", 60)
        with postgres() as url:
            rows += measure_database("PostgreSQL", url, folder / "postgres", 25)
        return rows
