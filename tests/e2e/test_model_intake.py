"""A model that a client loads from a URL through all processes, draws, and survives a killed background cluster."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save

from tests.e2e.installation import Installation, eventually
from tests.support.model_files_server import DEMO_MODELS
from tests.support.web_server import WebServer, answer

pytestmark = [
    pytest.mark.processes,
    pytest.mark.demo,
    # One database: what differs between the two is tested in tests/jobs/model_intake, which runs on both.
    pytest.mark.parametrize("installation", ["postgres"], indirect=True),
]

CIRCLE = {"prompt": "a red circle on a blue background", "width": 256, "height": 256, "seed": 3, "steps": 20}


@pytest.fixture
def lora() -> bytes:
    """The demo's LoRA of night, as a file that the registry does not have."""
    with safe_open(DEMO_MODELS / "loras" / "atelier-night.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return save(tensors, {**file.metadata(), "copy": "of a test"})


@pytest.fixture
def server(lora: bytes) -> Iterator[WebServer]:
    server = WebServer()
    server.answers["/night.safetensors"] = answer(200, lora)
    yield server
    server.close()


class Client:
    """A client of stablediffusionapi.com whose key manages models."""

    def __init__(self, installation: Installation) -> None:
        key = json.loads(installation.manage("create_key", "demo", "--manage-models"))
        self.key = f"{key['key_id']}:{key['secret']}"
        self.http = httpx.Client(base_url=f"{installation.base_url}/api/", timeout=120)

    def call(self, path: str, **body: Any) -> dict[str, Any]:
        answered: dict[str, Any] = self.http.post(path, json={"key": self.key, **body}).json()
        return answered

    def brightness(self, **body: Any) -> float:
        """Mean brightness of a generated image."""
        response = self.call("v1/enterprise/text2img", model_id="atelier-shapes", **CIRCLE, **body)
        while response["status"] == "processing":
            response = self.call(f"v1/enterprise/fetch/{response['id']}")
        assert response["status"] == "success", response
        return float(np.asarray(Image.open(io.BytesIO(self.http.get(response["output"][0]).content))).mean())

    def ready(self, name: str) -> bool:
        verified = self.call("v1/enterprise/verify_model", model_id=name)
        assert verified["status"] != "error", verified
        return verified["status"] == "success"


@pytest.fixture
def client(installation: Installation) -> Client:
    reachable = "from access.models import BusinessSource; BusinessSource.objects.update(reachable=['127.0.0.1']); print(1)"
    installation.python(reachable)
    return Client(installation)


def test_loaded_lora_darkens_the_image_and_a_deleted_one_is_refused(client, server):
    client.call("v1/enterprise/load_model", url=server.url("/night.safetensors"), model_id="dusk")
    eventually(lambda: client.ready("dusk"), "the model is ready")
    assert client.brightness(lora_model="dusk") < 0.8 * client.brightness()
    assert client.call("v1/enterprise/delete_model", model_id="dusk")["status"] == "success"
    refused = client.call("v1/enterprise/text2img", model_id="atelier-shapes", lora_model="dusk", **CIRCLE)
    assert refused["message"] == {"lora_model": ["lora 'dusk' not found"]}


def test_model_is_loaded_although_the_background_cluster_was_killed(installation, client, server):
    began, may_end = threading.Event(), threading.Event()
    send = server.answers["/night.safetensors"]

    def waits(handler: Any) -> None:
        began.set()
        may_end.wait()
        send(handler)

    server.answers["/night.safetensors"] = waits
    started = client.call("v3/load_model", url=server.url("/night.safetensors"), model_id="evening")
    assert started["status"] == "success", started
    assert began.wait(60)
    installation.kill("background")
    expired = "from jobs.models import ModelIntake; from django.utils import timezone as t"
    installation.python(f"{expired}; ModelIntake.objects.update(lease_until=t.now()); print(1)")
    may_end.set()
    installation.start("background")
    eventually(lambda: client.ready("evening"), "the model is ready")
    attempts = "from jobs.models import ModelIntake; print(ModelIntake.objects.get(name='evening').attempts)"
    assert installation.python(attempts) == 2
