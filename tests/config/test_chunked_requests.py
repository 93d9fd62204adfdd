"""Clients that stream their bodies are understood as all others are."""

import base64
import io
import json
from typing import Any

import pytest
from django.test import RequestFactory
from django.test.client import ClientHandler

from access.models import AccessKey
from config.chunked_requests import ChunkedBodies

LIMIT = 1000


class Broken(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError("the client is gone")


def site(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    response = ClientHandler()(environ)
    start_response(f"{response.status_code} {response.reason_phrase}", [])
    return [response.content]


class Door:
    """The whole site, behind a server that decodes chunks as gunicorn does."""

    def __init__(self, authorization: str) -> None:
        self.authorization = authorization
        self.application = ChunkedBodies(site, LIMIT)

    def post(self, path: str, stream: io.IOBase, **headers: str) -> tuple[int, dict[str, Any]]:
        environ = RequestFactory().generic("POST", path, content_type="application/json").environ
        environ.pop("CONTENT_LENGTH", None)
        chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": stream}
        told: list[str] = []
        answer = self.application(
            environ | chunked | {"HTTP_AUTHORIZATION": self.authorization} | headers,
            lambda status, _headers, _error=None: told.append(status),
        )
        return int(told[0].split()[0]), json.loads(b"".join(answer))


@pytest.fixture
def door(source, settings) -> Door:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = LIMIT
    key, secret = AccessKey.issue(source)
    return Door("Basic " + base64.b64encode(f"{key.key_id}:{secret}".encode()).decode())


def test_a_body_without_a_length_is_read_to_its_end(door):
    body = io.BytesIO(json.dumps({"jpeg_quality": "x"}).encode())
    status, told = door.post("/sdapi/v1/options", body)
    assert (status, told["detail"][0]["loc"]) == (422, ["body", "jpeg_quality"])


def test_an_empty_one_is_empty(door):
    status, told = door.post("/sdapi/v1/options", io.BytesIO())
    assert (status, told["detail"][0]["msg"]) == (422, "field required")


@pytest.mark.parametrize("path", ["/sdapi/v1/options", "/api/v1/quote"])
def test_one_that_is_too_large_is_refused_in_the_dialects_words(door, path):
    status, told = door.post(path, io.BytesIO(b"x" * 10 * LIMIT))
    assert (status, told["detail"]) == (413, "The request body is too large.")


@pytest.mark.parametrize("path", ["/sdapi/v1/options", "/api/v1/quote"])
def test_broken_chunks_are_the_clients_fault(door, path):
    assert door.post(path, Broken())[0] == 400


def test_what_no_view_reads_is_never_more_than_the_limit(door):
    stream = io.BytesIO(b"x" * 10 * LIMIT)
    door.post("/sdapi/v1/nothing", stream)
    assert stream.tell() == LIMIT + 1
