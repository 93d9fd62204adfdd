"""What a web process keeps of a request: nothing, without waiting for the garbage collector."""

import base64
import gc
import io
import json
import os
import tracemalloc
from collections.abc import Iterator

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from PIL import Image

from access.models import AccessKey

pytestmark = pytest.mark.slow

REQUESTS = 4
ALLOWED_BYTES = 600_000  # less than the body of one request
NOISE = Image.effect_noise((900, 900), 60)


def image(*, whole: bool) -> str:
    """A PNG of about 800 kB, each time another one."""
    file = io.BytesIO()
    NOISE.save(file, "PNG")
    data = file.getvalue() if whole else file.getvalue()[: file.tell() // 2]
    return base64.b64encode(data + os.urandom(8)).decode()


def post(path: str, body: bytes, content_type: str, authorization: str) -> int:
    """The status. Without a test client, which keeps requests and responses itself."""
    statuses: list[str] = []
    stream = io.BytesIO(body)
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": path, "QUERY_STRING": "", "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)), "HTTP_AUTHORIZATION": authorization, "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "testserver", "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.version": (1, 0),
        "wsgi.input": stream, "wsgi.errors": io.StringIO(),
    }  # fmt: skip
    response = WSGIHandler()(environ, lambda status, _headers, _error=None: statuses.append(status))
    b"".join(response)
    response.close()
    stream.close()  # as a connection, it keeps nothing
    return int(statuses[0].split()[0])


@pytest.fixture(autouse=True)
def kept_connection() -> Iterator[None]:
    """The test's connection to the database survives the begin and the end of a request."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def a1111(name: str, *, whole: bool) -> tuple[str, dict]:
    sent = image(whole=whole)
    bodies = {
        "img2img": {"init_images": [sent], "width": 64, "height": 64, "steps": 1},
        "png-info": {"image": sent},
    }
    return f"/sdapi/v1/{name}", bodies[name]


def native(*, whole: bool) -> tuple[str, dict]:
    init = {"data": f"data:image/png;base64,{image(whole=whole)}"}
    return "/api/v1/jobs", {"task": "img2img", "prompt": "a circle", "init_images": [init], "steps": 1}


REQUESTS_OF = {
    "checked": lambda: a1111("img2img", whole=True),
    "damaged": lambda: a1111("img2img", whole=False),
    "metadata": lambda: a1111("png-info", whole=True),
    "metadata of a damaged file": lambda: a1111("png-info", whole=False),
    "own API": lambda: native(whole=True),
    "own API, damaged": lambda: native(whole=False),
}


@pytest.mark.parametrize("make", REQUESTS_OF.values(), ids=REQUESTS_OF)
def test_body_of_a_request_is_freed_with_its_response(make, source, checkpoint, runner):
    key, secret = AccessKey.issue(source)
    pair = f"{key.key_id}:{secret}"
    basic = base64.b64encode(pair.encode()).decode()

    def send() -> int:
        path, body = make()
        scheme = f"Bearer {pair}" if path.startswith("/api/v1") else f"Basic {basic}"
        return post(path, json.dumps(body).encode(), "application/json", scheme)

    for _ in range(2):
        send()  # loads what is loaded once
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(REQUESTS):
            send()
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert kept < ALLOWED_BYTES
