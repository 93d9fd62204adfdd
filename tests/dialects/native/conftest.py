import base64
import io
from typing import Any

import pytest
from django.test import Client
from PIL import Image

from access.models import AccessKey
from jobs.models import Job

PREFIX = "/api/v1/"


class Caller:
    """HTTP client of the native API with an access key."""

    def __init__(self, key: AccessKey, secret: str) -> None:
        self.key, self.secret = key, secret
        self.headers = {"Authorization": f"Bearer {key.key_id}:{secret}"}
        self.client = Client(headers=self.headers)

    def get(self, name: str, query: Any = None, **headers: str) -> Any:
        return self.client.get(PREFIX + name, query or {}, headers=headers)

    def post(self, name: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(PREFIX + name, body or {}, content_type="application/json", headers=headers)

    def upload(self, data: bytes, content_type: str = "image/png") -> Any:
        return self.client.post(PREFIX + "pictures", data, content_type=content_type)

    def submit(self, **body: Any) -> Job:
        response = self.post("jobs", {"width": 64, "height": 64, **body})
        assert response.status_code == 201, response.content
        return Job.objects.get(pk=response.json()["id"])

    def job(self, job: Job) -> dict[str, Any]:
        return self.get(f"jobs/{job.pk}").json()


@pytest.fixture
def caller() -> type[Caller]:
    return Caller


@pytest.fixture
def image() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def data_uri(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()
