import base64
import hashlib
import io
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from PIL import Image

from access.models import AccessKey
from dialects.volcengine.signature import Scope, Signed, SignedRequest
from jobs.models import Job
from models_registry.models import Family, Kind, ModelFile, StylePreset
from tests.support.volcengine_signer import now, with_signature

STYLE = "img2img_pastel_boys_style_usage"
FLAT = "2022-08-31"


class Caller:
    """HTTP client with an access key, which signs as the vendor's Python SDK does."""

    def __init__(self, key: AccessKey, secret: str, token: str = "") -> None:
        self.key, self.secret, self.token = key, secret, token
        self.client = Client(HTTP_HOST="testserver")

    def headers(self, query: dict[str, str], body: bytes, **changes: Any) -> dict[str, str]:
        """``changes``: date, service, secret, key_id, method; or any header, by its lower-case name."""
        date, service = changes.pop("date", None) or now(), changes.pop("service", "cv")
        secret, key_id = changes.pop("secret", self.secret), changes.pop("key_id", self.key.key_id)
        method = changes.pop("method", "POST")
        headers = {"content-type": "application/json", "host": "testserver", "x-date": date}
        headers["x-content-sha256"] = hashlib.sha256(body).hexdigest()
        if self.token:
            headers["x-security-token"] = self.token
        names = tuple(sorted(headers))
        headers |= changes
        signed = Signed(key_id, Scope(date[:8], "cn-north-1", service), date, "", names)
        sent = SignedRequest(method, "/", tuple(query.items()), headers, body)
        return with_signature(secret, signed, sent)

    def send(self, query: dict[str, str], body: bytes, headers: dict[str, str]) -> Any:
        sent = {name: value for name, value in headers.items() if name not in ("host", "content-type")}
        kind = headers.get("content-type", "application/json")
        return self.client.post(f"/?{urlencode(query)}", body, content_type=kind, headers=sent)

    def call(self, action: str, body: Any = None, version: str = FLAT, **changes: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        query = {"Action": action, "Version": version}
        return self.send(query, data, self.headers(query, data, **changes))

    def submit(self, body: dict[str, Any]) -> Job:
        """The job behind a new task."""
        response = self.call("CVSync2AsyncSubmitTask", body)
        assert response.status_code == 200, response.content
        return Job.objects.get(external_id=response.json()["data"]["task_id"])

    def result(self, job: Job, **options: Any) -> Any:
        body = {"req_key": STYLE, "task_id": job.external_id}
        if options:
            body["req_json"] = json.dumps(options)
        return self.call("CVSync2AsyncGetResult", body)


def model(kind: Kind, name: str) -> ModelFile:
    digest = hashlib.sha256(name.encode()).hexdigest()
    path = f"{kind}/{name}.safetensors"
    return ModelFile.objects.create(kind=kind, family=Family.SD15, name=name, path=path, sha256=digest)


@pytest.fixture
def caller() -> type[Caller]:
    return Caller


@pytest.fixture
def canny(db) -> ModelFile:
    return model(Kind.CONTROLNET, "canny")


@pytest.fixture
def style(checkpoint, canny) -> StylePreset:
    """The style of the users' document, with all its files."""
    preset = StylePreset.objects.create(
        key="img2img_pastel_boys_style",
        checkpoint=checkpoint,
        prompt_required=True,
        steps=20,
        guidance_scale=8,
        strength=0.6,
        long_side=704,
        control_module="canny",
        control_model=canny,
    )
    for name in ("Colorwater_v4", "Moxin_Shukezouma11", "shanzhagaoSomeSortOf_v1Epoch10"):
        preset.loras.create(name=name, lora=model(Kind.LORA, name))
    return preset


@pytest.fixture
def image() -> bytes:
    return png(256, 128)


def png(width: int, height: int, file_format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, file_format)
    return buffer.getvalue()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def body(style, image) -> dict[str, Any]:
    """A minimal valid body."""
    return {"req_key": STYLE, "binary_data_base64": [encoded(image)], "prompt": "a red circle"}
