import base64
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from PIL import Image

from access.models import AccessKey
from gpu_runner.protocol import Done
from gpu_runner.protocol import Image as RunnerImage
from jobs.execution import lifecycle
from jobs.images.storage import store_output
from jobs.models import Job, Runner

PREFIX = "/sdapi/v1/"


def solid_png(width: int, height: int, color: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()


class Caller:
    """Django test client that authenticates with an access key."""

    def __init__(self, key: AccessKey, secret: str) -> None:
        self.key, self.secret = key, secret
        token = base64.b64encode(f"{key.key_id}:{secret}".encode()).decode()
        self.client = Client(headers={"Authorization": f"Basic {token}"})

    def get(self, name: str, **query: Any) -> Any:
        return self.client.get(PREFIX + name, query)

    def post(self, name: str, body: Any = None) -> Any:
        return self.client.post(PREFIX + name, body or {}, content_type="application/json")

    def submit(self, name: str = "txt2img", **body: Any) -> Job:
        """Post a request that is expected to return 503 at once, and return its job."""
        response = self.post(name, {"width": 64, "height": 64, **body})
        assert response.status_code == 503, response.content
        return Job.objects.get(pk=response["X-Job-Id"])

    def result(self, job: Job) -> dict[str, Any]:
        return self.get(f"jobs/{job.pk}").json()


@pytest.fixture
def caller() -> type[Caller]:
    return Caller


@pytest.fixture
def claim(runner: Runner) -> Callable[[Job], lifecycle.Lease]:
    def take(job: Job) -> lifecycle.Lease:
        lease = lifecycle.claim(job.pk, runner)
        assert lease is not None
        return lease

    return take


@pytest.fixture
def complete(claim) -> Callable[[Job], None]:
    """Complete a job as a worker would: one-color images whose infotext is their seed."""

    def finish(job: Job) -> None:
        lease, request = claim(job), job.generation_request
        outputs = []
        for index in range(request.num_images):
            data = solid_png(request.width, request.height, (index * 40, 90, 200))
            seed, size = request.seed_of(index), {"width": request.width, "height": request.height}
            image = RunnerImage(index=index, seed=seed, data=base64.b64encode(data).decode(), **size)
            outputs.append(store_output(job, request, image, f"Seed: {seed}"))
        done = Done(engine_seconds=1, device_seconds=1, steps_run=request.num_inference_steps)
        lifecycle.succeed(lease, done, outputs)

    return finish


@pytest.fixture
def png() -> bytes:
    return solid_png(64, 64, (255, 0, 0))


@pytest.fixture
def red(png: bytes) -> str:
    return base64.b64encode(png).decode()


@pytest.fixture
def info() -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: json.loads(body["info"])


@pytest.fixture
def open_image() -> Callable[[str], Image.Image]:
    return lambda text: Image.open(io.BytesIO(base64.b64decode(text)))
