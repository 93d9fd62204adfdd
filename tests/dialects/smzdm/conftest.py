import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from PIL import Image, ImageDraw

from access.models import BusinessSource
from jobs.models import Job
from jobs.models.storage_target import StorageTarget
from models_registry.models import Family, Kind, ModelFile
from tests.support.web_server import WebServer, answer


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def product(size: tuple[int, int] = (96, 64)) -> Image.Image:
    picture = Image.new("RGB", size, "yellow")
    ImageDraw.Draw(picture).ellipse((size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2), fill="red")
    return picture


def register(kind: Kind, name: str, path: str, **fields: Any) -> ModelFile:
    found = {"family": Family.SD15, "sha256": hashlib.sha256(path.encode()).hexdigest(), **fields}
    return ModelFile.objects.create(kind=kind, name=name, path=path, **found)


class Caller:
    """Somebody in a network that the source trusts, with Django's own client."""

    def __init__(self, pictures: WebServer, **headers: str) -> None:
        self.client = Client(headers=headers)
        self.body = {"img_url": pictures.url("/product.png"), "prompt": "beige theme", "from": "shop"}

    def send(self, **body: Any) -> dict[str, Any]:
        return self.post(self.body | body)

    def post(self, body: Any, path: str = "change_background", **headers: str) -> dict[str, Any]:
        response = self.client.post(
            f"/pictures/{path}", body, content_type="application/json", headers=headers
        )
        assert response.status_code == 200, response.content
        return json.loads(response.content)

    def job(self, **body: Any) -> Job:
        """What a request became; nobody waits for it."""
        told = self.send(callback_url="http://93.184.215.14/done", taskid=7, **body)
        assert told == {"error_code": 0, "error_msg": "", "data": []}, told
        return Job.objects.latest("created_at")

    def asks(self, **body: Any) -> Any:
        """The canonical request that a body becomes."""
        return self.job(**body).generation_request

    def refusal(self, **body: Any) -> tuple[int, str]:
        told = self.send(**body)
        assert told["data"] == []
        assert not Job.objects.exists()
        return told["error_code"], told["error_msg"]


@pytest.fixture
def pictures() -> Iterator[WebServer]:
    server = WebServer()
    server.answers["/product.png"] = answer(200, png(product()))
    server.answers["/mask.png"] = answer(200, png(Image.new("L", (96, 64), 255)))
    yield server
    server.close()


@pytest.fixture
def shop(source: BusinessSource) -> BusinessSource:
    source.keyless_networks = source.reachable = ["127.0.0.0/8"]
    source.comfyui_by_pipeline = True
    source.save()
    return source


@pytest.fixture
def matting(db) -> ModelFile:
    return register(Kind.MATTING, "u2netp", "matting/u2netp.onnx", family=Family.UNKNOWN)


@pytest.fixture
def lineart(db) -> ModelFile:
    return register(Kind.CONTROLNET, "control_v11p_sd15_lineart", "controlnet/control_v11p_sd15_lineart.pth")


@pytest.fixture
def alice(shop, checkpoint, matting, runner, pictures) -> Caller:
    return Caller(pictures)


@pytest.fixture
def target(db) -> StorageTarget:
    return StorageTarget.objects.create(channel="1202", folder="img", public_host="https://img.example.com")
