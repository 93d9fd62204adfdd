import base64
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from access.keys.bearer_tokens import opaque_token
from access.models import AccessKey
from jobs.models import Job

PREFIX = "/v1/"
PROMPT = "a red circle"


class Caller:
    """HTTP client of the OpenAI dialect with an access key."""

    def __init__(self, key: AccessKey, secret: str) -> None:
        self.key, self.secret = key, secret
        self.client = Client(headers={"Authorization": f"Bearer {opaque_token(key.key_id, secret)}"})

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(PREFIX + path, headers=headers)

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self.client.post(PREFIX + path, body, content_type="application/json", headers=headers)

    def generate(self, **body: Any) -> Any:
        return self.post("images/generations", {"prompt": PROMPT, "size": "64x64"} | body)

    def form(self, path: str, fields: dict[str, Any], **headers: str) -> Any:
        """Send a form; bytes are files, and lists are repeated."""
        parts = {name: _part(value) for name, value in fields.items()}
        return self.client.post(PREFIX + path, parts, headers=headers)

    def edit(self, **fields: Any) -> Any:
        return self.form("images/edits", {"prompt": PROMPT, **fields})

    def job(self, response: Any) -> Job:
        """The job of a response with its id."""
        assert "X-Job-Id" in response.headers, response.content
        return Job.objects.get(pk=response.headers["X-Job-Id"])

    def admitted(self, **body: Any) -> Job:
        response = self.generate(**body, **{"async": True})
        assert response.status_code == 202, response.content
        return self.job(response)


def _part(value: Any) -> Any:
    if isinstance(value, bytes):
        return SimpleUploadedFile("image.png", value, "image/png")
    return [_part(item) for item in value] if isinstance(value, list) else value


def mask_file(size: tuple[int, int], hole: tuple[int, int, int, int] | None = None) -> bytes:
    """A PNG mask, opaque but for the hole."""
    mask = Image.new("RGBA", size, (0, 0, 0, 255))
    if hole:
        mask.paste((0, 0, 0, 0), hole)
    file = io.BytesIO()
    mask.save(file, "PNG")
    return file.getvalue()


def pixels_of(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


@pytest.fixture
def caller() -> type[Caller]:
    return Caller
