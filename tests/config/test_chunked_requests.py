"""Chunked request bodies."""

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


class BrokenStream(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError("the client disconnected")


def site(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    response = ClientHandler()(environ)
    start_response(f"{response.status_code} {response.reason_phrase}", [])
    return [response.content]


class ChunkedClient:
    """Sends chunked requests to the site, as a server that decodes chunks (gunicorn) passes them on."""

    def __init__(self, authorization: str) -> None:
        self.authorization = authorization
        self.application = ChunkedBodies(site, LIMIT)

    def post(self, path: str, stream: io.IOBase, **headers: str) -> tuple[int, dict[str, Any]]:
        environ = RequestFactory().generic("POST", path, content_type="application/json").environ
        environ.pop("CONTENT_LENGTH", None)
        chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": stream}
        statuses: list[str] = []
        body = self.application(
            environ | chunked | {"HTTP_AUTHORIZATION": self.authorization} | headers,
            lambda status, _headers, _error=None: statuses.append(status),
        )
        return int(statuses[0].split()[0]), json.loads(b"".join(body))


@pytest.fixture
def client(source, settings) -> ChunkedClient:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = LIMIT
    key, secret = AccessKey.issue(source)
    return ChunkedClient("Basic " + base64.b64encode(f"{key.key_id}:{secret}".encode()).decode())


def test_chunked_body_is_read_completely(client):
    body = io.BytesIO(json.dumps({"jpeg_quality": "x"}).encode())
    status, content = client.post("/sdapi/v1/options", body)
    assert (status, content["detail"][0]["loc"]) == (422, ["body", "jpeg_quality"])


def test_empty_chunked_body_is_empty(client):
    status, content = client.post("/sdapi/v1/options", io.BytesIO())
    assert (status, content["detail"][0]["msg"]) == (422, "field required")


@pytest.mark.parametrize("path", ["/sdapi/v1/options", "/api/v1/quote"])
def test_too_large_body_is_refused_in_the_format_of_the_dialect(client, path):
    status, content = client.post(path, io.BytesIO(b"x" * 10 * LIMIT))
    assert (status, content["detail"]) == (413, "The request body is too large.")


@pytest.mark.parametrize("path", ["/sdapi/v1/options", "/api/v1/quote"])
def test_malformed_chunks_are_a_client_error(client, path):
    assert client.post(path, BrokenStream())[0] == 400


def test_at_most_the_limit_is_read(client):
    stream = io.BytesIO(b"x" * 10 * LIMIT)
    client.post("/sdapi/v1/nothing", stream)
    assert stream.tell() == LIMIT + 1
