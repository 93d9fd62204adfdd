"""How many jobs the web process admits in a second, each authenticated, checked, priced and durable, on PostgreSQL."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from bench.report import Row
from tests.e2e.installation import Installation
from tests.postgres import postgres

CLIENTS = 16
EACH = 150
WARM_UP = 10
REQUEST = {"prompt": "a red circle", "width": 64, "height": 64, "num_inference_steps": 1, "seed": 1}
NO_LIMIT = """
from access.models import BusinessSource
print(BusinessSource.objects.update(max_queued_jobs=1_000_000))
"""


def latencies(installation: Installation, requests: int) -> list[float]:
    """Of one client that keeps its connection, in seconds."""
    taken = []
    with httpx.Client(base_url=installation.base_url, auth=installation.client.auth, timeout=60) as client:
        for _ in range(requests):
            begin = time.perf_counter()
            client.post("/api/v1/jobs", json=REQUEST).raise_for_status()
            taken.append(time.perf_counter() - begin)
    return taken


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        installation = Installation(Path(folder), url, WEB_WORKERS="2", LOG_LEVEL="WARNING")
        try:
            installation.python(NO_LIMIT)
            installation.start("web")
            latencies(installation, WARM_UP)
            with ThreadPoolExecutor(CLIENTS) as clients:
                begin = time.perf_counter()
                rounds = list(clients.map(lambda _: latencies(installation, EACH), range(CLIENTS)))
                seconds = time.perf_counter() - begin
        finally:
            installation.stop()
    taken = sorted(second for one in rounds for second in one)
    return [
        Row(f"admissions, {CLIENTS} clients beside the server", len(taken) / seconds, "/s", "≥ 400 /s"),
        Row("admission p50", taken[len(taken) // 2] * 1000, "ms"),
        Row("admission p99", taken[int(len(taken) * 0.99)] * 1000, "ms", "≤ 100 ms"),
    ]
