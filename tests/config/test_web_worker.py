"""Clients that keep their connections are served by all web processes, not by whichever woke first."""

import os
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest

from tests.e2e.installation import ROOT, eventually, free_port

CLIENTS = 12
TELLS_WHO_IT_IS = """
import os
def application(environment, start_response):
    said = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]
"""


@pytest.fixture
def port(tmp_path):
    (tmp_path / "told.py").write_text(TELLS_WHO_IT_IS)
    port = free_port()
    process = subprocess.Popen(
        [
            *[sys.executable, "-m", "gunicorn", "--workers", "2", "--threads", "32"],
            *["--worker-class", "config.web_worker.WebWorker", "--bind", f"127.0.0.1:{port}", "told"],
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}"},
        stderr=subprocess.DEVNULL,
    )
    yield port
    process.terminate()
    process.wait()


def served_by(client: HTTPConnection) -> str:
    client.request("GET", "/")
    return client.getresponse().read().decode()


def seen(port: int) -> str:
    client = HTTPConnection("127.0.0.1", port)
    try:
        return served_by(client)
    except ConnectionError:
        return ""
    finally:
        client.close()


@pytest.mark.processes
def test_kept_connections_are_shared_evenly(port):
    pids: set[str] = set()
    eventually(lambda: pids.add(seen(port)) or len(pids - {""}) == 2, "both processes serve")
    with ExitStack() as opened:
        clients = [HTTPConnection("127.0.0.1", port) for _ in range(CLIENTS)]
        for client in clients:
            opened.callback(client.close)
        shares = Counter(served_by(client) for client in clients)
        again = Counter(served_by(client) for client in clients)
    assert set(shares) == pids - {""}
    assert min(shares.values()) >= CLIENTS // 3
    assert again == shares
