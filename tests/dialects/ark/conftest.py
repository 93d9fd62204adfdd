import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from access.models import AccessKey
from gpu_runner.protocol import GenerationRequest
from jobs.models import Job
from models_registry.models import Family, Kind, ModelFile
from tests.support.fake_runner import png
from tests.support.web_server import WebServer, answer

PATH = "/api/v3/images/generations"
PROMPT = "a red circle"


class Caller:
    """HTTP client of this API with an access key."""

    def __init__(self, key: AccessKey, secret: str) -> None:
        self.access_key = key
        self.key = f"{key.key_id}:{secret}"
        self.client = Client(headers={"Authorization": f"Bearer {self.key}"})

    def post(self, headers: dict[str, str] | None = None, **fields: Any) -> Any:
        body = {"model": "shapes", "prompt": PROMPT} | fields
        return self.client.post(PATH, body, content_type="application/json", headers=headers or {})

    def request(self, **fields: Any) -> GenerationRequest:
        """The GenerationRequest of a request."""
        return self.job(**fields).generation_request

    def job(self, **fields: Any) -> Job:
        response = self.post({"Idempotency-Key": str(Job.objects.count())}, **fields)
        assert "X-Job-Id" in response.headers, response.content
        return Job.objects.get(pk=response["X-Job-Id"])

    def refused(self, status: int = 400, **fields: Any) -> dict[str, str]:
        """The error of a request that must be refused without a job."""
        response = self.post(**fields)
        assert response.status_code == status, response.content
        assert not Job.objects.exists()
        error = response.json()["error"]
        assert error.keys() == {"code", "message", "param", "type"}
        return error

    def stream(self, **fields: Any) -> list[tuple[str, Any]]:
        """Name and data of each event of a streaming response."""
        response = self.post(stream=True, **fields)
        assert response["Content-Type"].startswith("text/event-stream"), response.content
        text = b"".join(response.streaming_content).decode()
        response.close()
        return [_event(frame) for frame in text.split("\n\n") if frame and not frame.startswith(":")]


def _event(frame: str) -> tuple[str, Any]:
    lines = dict(line.split(": ", 1) for line in frame.split("\n"))
    data = lines["data"]
    return lines.get("event", ""), data if data == "[DONE]" else json.loads(data)


def data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


@pytest.fixture
def caller() -> type[Caller]:
    return Caller


@pytest.fixture
def red() -> str:
    return data_uri(png())


@pytest.fixture
def web(source) -> Iterator[WebServer]:
    """A server that the source may call. It has an image."""
    server = WebServer()
    server.answers["/red.png"] = answer(200, png(96, 64))
    source.reachable = ["127.0.0.1"]
    source.save()
    yield server
    server.close()


@pytest.fixture
def model(db) -> Callable[..., ModelFile]:
    def make(kind: Kind, name: str, **fields: Any) -> ModelFile:
        fields = {"family": Family.SD15, "path": f"{kind}/{name}", "sha256": "7" * 64} | fields
        return ModelFile.objects.create(kind=kind, name=name, **fields)

    return make
