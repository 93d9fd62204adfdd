import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from PIL import Image

from access.models import AccessKey
from gpu_runner.protocol import GenerationRequest
from jobs.models import Job
from models_registry.models import Family, Kind, ModelFile
from tests.support.web_server import WebServer, answer


class Caller:
    """HTTP client of this API with an access key."""

    def __init__(self, key: AccessKey, secret: str) -> None:
        self.access_key = key
        self.key = f"{key.key_id}:{secret}"
        self.client = Client()

    def post(self, path: str, **body: Any) -> Any:
        body = {"key": self.key} | body
        return self.client.post(f"/api/{path}", body, content_type="application/json")

    def call(self, path: str, **body: Any) -> dict[str, Any]:
        """The JSON of a response, whose HTTP status must be 200."""
        response = self.post(path, **body)
        assert response.status_code == 200, response.content
        return response.json()

    def generate(self, path: str = "v3/text2img", **body: Any) -> tuple[dict[str, Any], Job]:
        """The response to a generation request, and its job."""
        response = self.call(path, **({"prompt": "a red circle", "width": "64", "height": "64"} | body))
        assert response["status"] == "processing", response
        return response, Job.objects.get(external_id=str(response["id"]), source=self.access_key.source)

    def request(self, path: str = "v3/text2img", **body: Any) -> GenerationRequest:
        """The GenerationRequest of a request."""
        return self.generate(path, **body)[1].generation_request

    def refused(self, path: str = "v3/text2img", **body: Any) -> Any:
        """The error message of a request that must be refused without a job."""
        response = self.call(path, **({"prompt": "a red circle"} | body))
        assert response["status"] == "error", response
        assert response["message"] == response["messege"]
        assert not Job.objects.exists()
        return response["message"]


def png(width: int = 64, height: int = 64, color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()


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
    """A server that the source may call. It has an image, and receives webhooks."""
    server = WebServer()
    server.answers["/red.png"] = answer(200, png())
    server.answers["/hook"] = answer(200)
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


@pytest.fixture
def detector(model) -> ModelFile:
    return model(Kind.NSFW, "open_nsfw")
