"""What a response says of its connection is what happens to it, on a real gunicorn with the installation's settings."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LARGE = 1024 * 1024
HEAD = b"POST /%s HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{number}"]
    server = subprocess.Popen([*command, "tests.support.refusing_site:application"], cwd=ROOT)
    while True:
        try:
            socket.create_connection(("127.0.0.1", number)).close()
            break
        except ConnectionRefusedError:
            assert server.poll() is None
            time.sleep(0.05)
    yield number
    server.terminate()
    server.wait()


def length(size: int) -> bytes:
    return b"Content-Length: %d" % size


def chunks(size: int) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size)


REQUESTS = {
    "refused, without a body": (b"refused", length(0), b""),
    "refused, with a short body": (b"refused", length(1000), b"x" * 1000),
    "refused, with a long body": (b"refused", length(LARGE), b"x" * LARGE),
    "refused, with a body that is not sent": (b"refused", length(2**33), b""),
    "refused, with a chunked body": (b"refused", b"Transfer-Encoding: chunked", chunks(LARGE)),
    "read, with a long body": (b"read", length(LARGE), b"x" * LARGE),
    "read, with a chunked body": (b"read", b"Transfer-Encoding: chunked", chunks(LARGE)),
    "read, with a malformed chunk": (b"read", b"Transfer-Encoding: chunked", b"ZZ\r\n"),
    "not HTTP": (b"read", b"Ho st: x", b""),
}
KEPT = {
    "refused, without a body",
    "refused, with a short body",
    "read, with a long body",
    "read, with a chunked body",
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_connection_header_is_true(port, name):
    path, header, body = REQUESTS[name]
    with socket.create_connection(("127.0.0.1", port)) as connection:
        with contextlib.suppress(ConnectionError):  # closed before all of the body was sent
            connection.sendall(HEAD % (path, header) + body)
        answer = b""
        while not answer.endswith(b"done") and (received := connection.recv(4096)):
            answer += received
        says_kept = b"keep-alive" in answer.lower()
        assert says_kept == (name in KEPT), answer
        if says_kept:
            connection.sendall(HEAD % (b"read", length(0)))
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        elif answer.endswith(b"done"):
            assert b"connection: close" in answer.lower()
