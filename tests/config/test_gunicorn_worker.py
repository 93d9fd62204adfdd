"""Clients that keep their connections are served by all web processes, not by whichever woke first."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from http.client import HTTPConnection
from io import BytesIO
from types import SimpleNamespace

import pytest

from config.web_worker import asks_again
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
def threads():
    return 32


@pytest.fixture
def port(tmp_path, threads):
    (tmp_path / "told.py").write_text(TELLS_WHO_IT_IS)
    port = free_port()
    process = subprocess.Popen(
        [
            *[sys.executable, "-m", "gunicorn", "--workers", "2", "--threads", str(threads)],
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


@pytest.fixture
def pids(port):
    pids: set[str] = set()
    eventually(lambda: pids.add(seen(port)) or len(pids - {""}) == 2, "both processes serve")
    return pids - {""}


@pytest.fixture
def clients(port):
    with ExitStack() as opened:
        clients = [HTTPConnection("127.0.0.1", port) for _ in range(CLIENTS)]
        for client in clients:
            opened.callback(client.close)
        yield clients


@pytest.fixture
def connection():
    """A client's end, and what the worker knows of the connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        read_already = SimpleNamespace(buf=BytesIO())
        yield (
            ours,
            SimpleNamespace(sock=theirs, is_http2=False, parser=SimpleNamespace(unreader=read_already)),
        )


@pytest.mark.processes
def test_kept_connections_are_shared_evenly(pids, clients):
    shares = Counter(served_by(client) for client in clients)
    again = Counter(served_by(client) for client in clients)
    assert set(shares) == pids
    assert min(shares.values()) >= CLIENTS // 3
    assert again == shares


@pytest.mark.processes
def test_a_process_that_was_not_there_gets_its_share_when_it_is(pids, clients):
    late = int(min(pids))
    os.kill(late, signal.SIGSTOP)
    try:
        assert str(late) not in {served_by(client) for client in clients}
    finally:
        os.kill(late, signal.SIGCONT)
    eventually(
        lambda: Counter(served_by(client) for client in clients)[str(late)] >= CLIENTS // 3,
        "it has its share",
    )
    assert all(served_by(client) == served_by(client) for client in clients)


@pytest.mark.processes
@pytest.mark.parametrize("threads", [2])
def test_more_connections_than_threads_are_all_served(pids, clients):
    for _ in range(5):
        assert {served_by(client) for client in clients} == pids


def test_a_thread_stays_for_the_next_request(connection):
    client, conn = connection
    client.sendall(b"GET / HTTP/1.1\r\n")
    assert asks_again(conn)


def test_a_thread_leaves_a_silent_connection(connection):
    assert not asks_again(connection[1])


def test_a_request_that_was_read_with_the_one_before_is_left_to_gunicorn(connection):
    client, conn = connection
    client.sendall(b"GET / HTTP/1.1\r\n")
    conn.parser.unreader.buf.write(b"GET / HTTP/1.1\r\n")
    assert not asks_again(conn)
