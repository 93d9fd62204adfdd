"""Jobs admitted per second by the web processes on PostgreSQL: authenticated, validated, priced, stored."""

from __future__ import annotations

import json
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import psutil

from bench.report import Row
from tests.e2e.installation import Installation, eventually
from tests.support.postgres import postgres

CLIENTS = 16
WORKERS = 2
REQUESTS = 150
WARM_UP = 15  # requests per client: its server thread then has a connection with prepared statements
REQUEST = {"prompt": "a red circle", "width": 64, "height": 64, "num_inference_steps": 1, "seed": 1}
REMOVE_QUEUE_LIMIT = """
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


class Client:
    """HTTP client with one persistent connection, on a raw socket.

    It shares two cores with the server, and an HTTP library would use more CPU time than the server does.
    """

    def __init__(self, installation: Installation) -> None:
        self._request = request_bytes(installation)
        self._connection = socket.create_connection(("127.0.0.1", installation.port), timeout=60)
        self._responses = self._connection.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._responses.close()
        self._connection.close()

    def send(self, requests: int) -> list[float]:
        """Send requests one after the other. Returns their latencies in seconds."""
        seconds = []
        for _ in range(requests):
            started = time.perf_counter()
            self._connection.sendall(self._request)
            read_created(self._responses)
            seconds.append(time.perf_counter() - started)
        return seconds


def all_processes_serve(installation: Installation) -> bool:
    """Check that every web process has accepted a connection. Under load, this is not certain."""
    processes = psutil.Process(installation.processes["web"].pid).children()
    with ExitStack() as stack:
        for _ in range(2 * WORKERS):
            stack.enter_context(Client(installation)).send(1)
        return len(processes) == WORKERS and all(serves(process, installation.port) for process in processes)


def serves(process: psutil.Process, port: int) -> bool:
    connections = process.net_connections("tcp")
    return any(
        connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port
        for connection in connections
    )


def read_created(responses: BinaryIO) -> None:
    """Read one HTTP response. Raises RuntimeError unless its status is 201."""
    status = responses.readline()
    length = 0
    while (line := responses.readline()) not in (b"\r\n", b""):
        name, _colon, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    body = responses.read(length)
    if b" 201 " not in status:
        raise RuntimeError(f"{status!r}: {body[:500]!r}")


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        installation = Installation(Path(folder), url, WEB_WORKERS=str(WORKERS), LOG_LEVEL="WARNING")
        try:
            installation.python(REMOVE_QUEUE_LIMIT)
            installation.start("web")
            eventually(lambda: all_processes_serve(installation), "all web processes serve")
            with ThreadPoolExecutor(CLIENTS) as clients, ExitStack() as stack:
                connected = [stack.enter_context(Client(installation)) for _ in range(CLIENTS)]
                list(clients.map(lambda client: client.send(WARM_UP), connected))
                started = time.perf_counter()
                rounds = list(clients.map(lambda client: client.send(REQUESTS), connected))
                seconds = time.perf_counter() - started
        finally:
            installation.stop()
    latencies = sorted(second for client_latencies in rounds for second in client_latencies)
    return [
        Row(f"admissions, {CLIENTS} clients beside the server", len(latencies) / seconds, "/s", "≥ 150 /s"),
        Row("admission p50", latencies[len(latencies) // 2] * 1000, "ms"),
        Row("admission p99", latencies[int(len(latencies) * 0.99)] * 1000, "ms", "≤ 100 ms"),
    ]
