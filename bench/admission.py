"""How many jobs the web process admits in a second, each authenticated, checked, priced and durable, on PostgreSQL."""

from __future__ import annotations

import json
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

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


def request_bytes(installation: Installation) -> bytes:
    body = json.dumps(REQUEST).encode()
    credentials = installation.credentials["key_id"] + ":" + installation.credentials["secret"]
    head = (
        "POST /api/v1/jobs HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{installation.port}\r\n"
        f"Authorization: Bearer {credentials}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def latencies(installation: Installation, requests: int) -> list[float]:
    """Of one client that keeps its connection, in seconds.

    On a bare socket: the client shares the two cores with the server, and a comfortable one would take more of them than
    the server does.
    """
    request, taken = request_bytes(installation), []
    with socket.create_connection(("127.0.0.1", installation.port), timeout=60) as connection:
        answers = connection.makefile("rb")
        for _ in range(requests):
            begin = time.perf_counter()
            connection.sendall(request)
            read_created(answers)
            taken.append(time.perf_counter() - begin)
    return taken


def read_created(answers: BinaryIO) -> None:
    status = answers.readline()
    length = 0
    while (line := answers.readline()) not in (b"\r\n", b""):
        name, _colon, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    body = answers.read(length)
    if b" 201 " not in status:
        raise RuntimeError(f"{status!r}: {body[:500]!r}")


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
