import copy
import hashlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from PIL import Image

from access.models import AccessKey
from jobs.models import Job
from models_registry.models import Family, Kind, ModelFile
from tests.support.web_server import WebServer, answer

PREFIX = "/AIGCImgOpenServ/saas/"
SCRIPTS = {"sd_model_checkpoint": "shapes.safetensors", "id_task": "pro1686666"}


def credentials(key_id: str, secret: str) -> dict[str, str]:
    return {"X-Request-req-accessKeyId": key_id, "X-Request-req-accessKeySecret": secret}


class Caller:
    """HTTP client of this API with an access key."""

    def __init__(self, key: AccessKey, secret: str) -> None:
        self.key, self.secret = key, secret
        self.headers = credentials(key.key_id, secret)
        self.client = Client(headers=self.headers)

    def post(self, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """The envelope of the response."""
        response = self.client.post(
            PREFIX + path, body or {}, content_type="application/json", headers=headers
        )
        assert response.status_code == 200
        return response.json()

    def refused(self, path: str, body: Any) -> str:
        """The error message of a request that must be refused without a job."""
        before = Job.objects.count()
        envelope = self.post(path, body)
        assert envelope["code"] == "400", envelope
        assert Job.objects.count() == before
        return envelope["msg"]

    def submit(self, path: str, body: Any, **headers: str) -> Job:
        """The job of a request."""
        envelope = self.post(path, body, **headers)
        assert (envelope["code"], envelope["msg"]) == ("200", "success"), envelope
        return Job.objects.filter(external_id=envelope["data"]["task_id"]).latest("created_at")

    def generate(self, operation: str = "v2/text2image", scripts: Any = None, **fields: Any) -> Job:
        return self.submit(f"sd/{operation}", generation_body(scripts, **fields))

    def task(self, task_id: str = "pro1686666", path: str = "sd/v2/queryTaskInfo") -> dict[str, Any]:
        return self.post(path, {"businessTaskId": task_id})["data"]


def generation_body(scripts: Any = None, **fields: Any) -> dict[str, Any]:
    small = {"prompt": "a red circle", "width": 128, "height": 128, "steps": 4}
    return copy.deepcopy({**small, **fields, "alwayson_scripts": {**SCRIPTS, **(scripts or {})}})


@pytest.fixture
def caller() -> type[Caller]:
    return Caller


@pytest.fixture
def bob(source, checkpoint) -> Caller:
    """Another access key of the same source."""
    return Caller(*AccessKey.issue(source))


@pytest.fixture
def register(db) -> Callable[..., ModelFile]:
    def register(kind: Kind, path: str, **fields: Any) -> ModelFile:
        name = path.rpartition("/")[2].rpartition(".")[0]
        sha256 = hashlib.sha256(path.encode()).hexdigest()
        given = {"name": name, "family": Family.SD15, **fields}
        return ModelFile.objects.create(kind=kind, path=path, sha256=sha256, **given)

    return register


def png(width: int = 64, height: int = 64, color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()


def half_white() -> bytes:
    mask = Image.new("L", (96, 48))
    mask.paste(255, (0, 0, 48, 48))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def web(source) -> Iterator[WebServer]:
    """A server that the source may call. It has images, and receives callbacks."""
    server = WebServer()
    server.answers["/red.png"] = answer(200, png())
    server.answers["/wide.png"] = answer(200, png(96, 48, "blue"))
    server.answers["/mask.png"] = answer(200, png(color="white"))
    server.answers["/half-mask.png"] = answer(200, half_white())
    source.reachable = ["127.0.0.1"]
    source.save()
    yield server
    server.close()
