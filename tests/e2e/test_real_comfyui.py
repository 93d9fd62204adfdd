"""The platform with real ComfyUI servers; requires a ComfyUI checkout (see comfyui_servers.py)."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.dialects.smzdm.seed import FIRST, SECOND, at
from tests.e2e.comfyui_servers import CHECKOUT, ComfyServer, write_models
from tests.e2e.installation import MANAGE, Installation, eventually
from tests.support.ports import free_port
from tests.support.web_server import WebServer, answer

pytestmark = [
    pytest.mark.skipif(not CHECKOUT, reason="no real ComfyUI: COMFYUI_CHECKOUT is not set"),
    pytest.mark.processes,
    pytest.mark.timeout(3600),
]

SIDE = 128
TEXT = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 3, "seed": 5}
LONG = TEXT | {"steps": 12}


class Platform(Installation):
    """An installation with an adapter and a generation cluster for each ComfyUI server."""

    def __init__(self, data_dir: Path, servers: list[ComfyServer]) -> None:
        super().__init__(data_dir, f"sqlite:///{data_dir / 'atelier.sqlite3'}", OUTBOUND_ALLOWED="127.0.0.1")
        self.servers, self.ports = servers, [free_port() for _server in servers]
        self.python(
            "from models_registry.models import WorkflowRule, WorkflowTemplate\n"
            "text = WorkflowTemplate.objects.get(name='txt2img')\n"
            "WorkflowRule.objects.create(template=text, dialect='a1111', operation='txt2img')\n"
            "print(1)"
        )
        for number, port in enumerate(self.ports, 1):
            self.manage("register_runner", f"comfyui-{number}", f"http://127.0.0.1:{port}")
            self.start(f"adapter-{number}")
            self.environment["RUNNER_NAME"], self.environment["Q_CLUSTER_NAME"] = (
                f"comfyui-{number}",
                "generation",
            )
            self.start(f"cluster-{number}")
        del self.environment["Q_CLUSTER_NAME"]
        self.start("web", "background")
        eventually(lambda: self.models_of_servers() >= 2, "the servers' checkpoints are known")

    def command(self, name: str) -> list[str]:
        kind, _dash, number = name.partition("-")
        if kind == "adapter":
            server, port = self.servers[int(number) - 1], self.ports[int(number) - 1]
            python = [sys.executable, "-m", "gpu_runner.comfyui"]
            return [*python, "--url", server.url, "--port", str(port), "--patience-s", "20"]
        return [*MANAGE, "qcluster"] if kind == "cluster" else super().command(name)

    def models_of_servers(self) -> int:
        return self.python(
            "from models_registry.models import ModelFile\n"
            "print(ModelFile.objects.filter(kind='checkpoint', runners__isnull=False).distinct().count())"
        )

    def submit(self, task_id: str, parameters: dict[str, Any]) -> str:
        """Submit a job and return its id without waiting for its outputs."""
        checkpoint = {"override_settings": {"sd_model_checkpoint": FIRST["sd_model_checkpoint"]}}
        body = parameters | checkpoint | {"force_task_id": task_id}
        client = httpx.Client(base_url=self.base_url, auth=self.client.auth, timeout=0.5)
        with client, contextlib.suppress(httpx.ReadTimeout):
            response = client.post("/sdapi/v1/txt2img", json=body)
            assert response.is_success, response.text
        return eventually(lambda: self.job(task_id), f"{task_id} is admitted")["id"]

    def is_generating(self, task_id: str) -> bool:
        job = self.job(task_id)
        assert job["state"] in ("queued", "running"), job
        return job["state"] == "running" and job["step"] > 0

    def ended(self, task_id: str) -> dict[str, Any]:
        def terminal() -> dict[str, Any] | None:
            job = self.job(task_id)
            return job if job and job["state"] not in ("queued", "running") else None

        return eventually(terminal, f"{task_id} ends")


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator[list[ComfyServer]]:
    write_models()
    folder = tmp_path_factory.mktemp("comfyui")
    created = [ComfyServer(folder / f"{number}.log") for number in (1, 2)]
    yield created
    for server in created:
        server.kill()


@pytest.fixture(scope="module")
def platform(servers, tmp_path_factory) -> Iterator[Platform]:
    created = Platform(tmp_path_factory.mktemp("platform"), servers)
    yield created
    print(created.logs())
    created.stop()


def disc() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return np.hypot(x, y) < SIDE / 4


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def product() -> np.ndarray:
    return np.where(disc()[..., None], (250, 220, 45), 128)


@pytest.fixture
def smzdm(platform, product) -> Iterator[Callable[[dict[str, Any]], list[Image.Image]]]:
    """Submit an example request of the contract and return the images."""
    file_server = WebServer()

    def submit(example: dict[str, Any]) -> list[Image.Image]:
        body = at(f"127.0.0.1:{file_server.port}", example)
        for field, pixels in {"img_url": product, "mask_url": disc() * 255}.items():
            file_server.answers["/" + body[field].split("/", 3)[3]] = answer(200, png(pixels))
        response = platform.client.post("/pictures/change_background", json=body | {"from": "demo"}).json()
        assert response["error_code"] == 0, response
        return [Image.open(io.BytesIO(platform.client.get(url).content)) for url in response["data"]]

    yield submit
    file_server.close()


@pytest.mark.parametrize("example", [FIRST, SECOND], ids=["first", "second"])
def test_the_examples_of_the_contract_generate_images(smzdm, product, example) -> None:
    outputs = smzdm(example | {"width": SIDE, "height": SIDE, "steps": 4})
    assert len(outputs) == example["batch_size"]
    inner = np.hypot(*(np.mgrid[:SIDE, :SIDE] - SIDE / 2)) < SIDE / 4 - 8
    for image in outputs:
        pixels = np.asarray(image.convert("RGB")).astype(int)
        assert np.abs(pixels - product)[inner].mean() < 8
        assert np.abs(pixels - product)[~disc()].mean() > 10


def test_txt2img_job_succeeds(platform) -> None:
    platform.submit("text", TEXT)
    job = platform.ended("text")
    assert (job["state"], job["outputs"], job["postings"]) == (
        "succeeded",
        1,
        ["release", "reserve", "settle"],
    ), job


def test_two_servers_generate_at_the_same_time(platform, servers) -> None:
    for number in range(2):
        platform.submit(f"side-by-side-{number}", LONG | {"seed": number})
    eventually(lambda: all(server.queue() for server in servers), "both servers have prompts")
    ends = [platform.ended(f"side-by-side-{number}") for number in range(2)]
    assert [end["state"] for end in ends] == ["succeeded"] * 2, ends


def test_a_cancelled_job_is_removed_from_its_server(platform, servers) -> None:
    job_id = platform.submit("cancelled", LONG)
    eventually(lambda: platform.is_generating("cancelled"), "it is being generated")
    assert platform.client.post(f"/api/v1/jobs/{job_id}/cancel").is_success
    assert platform.ended("cancelled")["state"] == "cancelled"
    eventually(lambda: not any(server.queue() for server in servers), "the queues are empty")


def test_a_restarted_server_costs_the_job_one_attempt(platform, servers) -> None:
    platform.submit("survivor", LONG)
    eventually(lambda: platform.is_generating("survivor"), "it is being generated")
    busy = next(server for server in servers if server.queue())
    busy.kill()
    busy.start()
    job = platform.ended("survivor")
    assert (job["state"], job["outputs"], job["postings"]) == (
        "succeeded",
        1,
        ["release", "reserve", "settle"],
    ), job
    assert job["attempt"] == 2
