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


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def product(size: tuple[int, int] = (96, 64)) -> Image.Image:
    image = Image.new("RGB", size, "yellow")
    ImageDraw.Draw(image).ellipse((size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2), fill="red")
    return image


def register(kind: Kind, name: str, path: str, **fields: Any) -> ModelFile:
    defaults = {"family": Family.SD15, "sha256": hashlib.sha256(path.encode()).hexdigest(), **fields}
    return ModelFile.objects.create(kind=kind, name=name, path=path, **defaults)


class Caller:
    """HTTP client without a key, in a network that the source trusts."""

    def __init__(self, image_host: WebServer, **headers: str) -> None:
        self.client = Client(headers=headers)
        self.body = {"img_url": image_host.url("/product.png"), "prompt": "beige theme", "from": "shop"}

    def send(self, **body: Any) -> dict[str, Any]:
        return self.post(self.body | body)

    def post(self, body: Any, path: str = "change_background", **headers: str) -> dict[str, Any]:
        response = self.client.post(
            f"/pictures/{path}", body, content_type="application/json", headers=headers
        )
        assert response.status_code == 200, response.content
        return json.loads(response.content)

    def job(self, **body: Any) -> Job:
        """The job of a request with a callback, which returns at once."""
        response = self.send(callback_url="http://93.184.215.14/done", taskid=7, **body)
        assert response == {"error_code": 0, "error_msg": "", "data": []}, response
        return Job.objects.latest("created_at")

    def request(self, **body: Any) -> Any:
        """The GenerationRequest of a request."""
        return self.job(**body).generation_request

    def refusal(self, **body: Any) -> tuple[int, str]:
        """Code and message of a request that must be refused without a job."""
        response = self.send(**body)
        assert response["data"] == []
        assert not Job.objects.exists()
        return response["error_code"], response["error_msg"]


@pytest.fixture
def image_host() -> Iterator[WebServer]:
    server = WebServer()
    server.answers["/product.png"] = answer(200, png(product()))
    mask = Image.new("L", (96, 64))
    ImageDraw.Draw(mask).ellipse((24, 16, 48, 32), fill=255)
    cut_out = product()
    cut_out.putalpha(mask)
    server.answers["/mask.png"] = answer(200, png(mask))
    server.answers["/cut-out.png"] = answer(200, png(cut_out))
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
def alice(shop, checkpoint, matting, runner, image_host) -> Caller:
    return Caller(image_host)


@pytest.fixture
def target(db) -> StorageTarget:
    return StorageTarget.objects.create(channel="1202", folder="img", public_host="https://img.example.com")
