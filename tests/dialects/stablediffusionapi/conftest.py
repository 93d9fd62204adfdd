import base64
import io
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from PIL import Image

from access.models import AccessKey
from gpu_runner.protocol import GenerationRequest
from jobs.models import Job, Runner
from jobs.scheduling.dispatcher import claim_next
from jobs.tasks import run_job
from models_registry.models import Family, Kind, ModelFile
from tests.support.fake_runner import TOKEN, FakeRunner
from tests.support.web_server import WebServer, answer

RUNNER = "local"


class Caller:
    """Somebody with a key, and Django's own client."""

    def __init__(self, key: AccessKey, secret: str) -> None:
        self.access_key = key
        self.key = f"{key.key_id}:{secret}"
        self.client = Client()

    def post(self, path: str, **body: Any) -> Any:
        body = {"key": self.key} | body
        return self.client.post(f"/api/{path}", body, content_type="application/json")

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        response = self.post(path, **body)
        assert response.status_code == 200, response.content
        return response.json()

    def draw(self, path: str = "v3/text2img", **body: Any) -> tuple[dict[str, Any], Job]:
        """The answer, and the job that the request became."""
        told = self.ask(path, **({"prompt": "a red circle", "width": "64", "height": "64"} | body))
        assert told["status"] == "processing", told
        return told, Job.objects.get(external_id=str(told["id"]), source=self.access_key.source)

    def request(self, path: str = "v3/text2img", **body: Any) -> GenerationRequest:
        """What a request means."""
        return self.draw(path, **body)[1].generation_request

    def refused(self, path: str = "v3/text2img", **body: Any) -> Any:
        """The message of an error."""
        told = self.ask(path, **({"prompt": "a red circle"} | body))
        assert told["status"] == "error", told
        assert told["message"] == told["messege"]
        assert not Job.objects.exists()
        return told["message"]


@pytest.fixture(autouse=True)
def no_waiting(settings) -> None:
    settings.STABLEDIFFUSIONAPI_WAIT_S = 0


@pytest.fixture
def alice(source, checkpoint) -> Caller:
    return Caller(*AccessKey.issue(source))


@pytest.fixture
def charlie(other_source) -> Caller:
    """Of another tenant: sees nothing of Alice's."""
    return Caller(*AccessKey.issue(other_source))


@pytest.fixture
def fake_runner(settings) -> Iterator[FakeRunner]:
    settings.RUNNER_TOKEN = TOKEN
    fake = FakeRunner()
    yield fake
    fake.close()


@pytest.fixture
def runner(db, fake_runner: FakeRunner) -> Runner:
    seen = {"slots": 4, "boot_id": "first boot", "seen_at": timezone.now() + timedelta(hours=1)}
    return Runner.objects.create(name=RUNNER, url=fake_runner.url, **seen)


@pytest.fixture
def work(runner: Runner) -> Callable[[], None]:
    """Runs what waits, to its end, as the runner behaves."""

    def work() -> None:
        for lease in claim_next(RUNNER, 4):
            run_job(str(lease.job_id), lease.attempt)

    return work


@pytest.fixture
def worker(transactional_db, settings, runner: Runner, fake_runner: FakeRunner, work) -> Iterator[FakeRunner]:
    """The generation cluster, as a thread, while a client waits on its connection."""
    settings.STABLEDIFFUSIONAPI_WAIT_S = 60
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.02):
            work()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield fake_runner
    stop.set()
    fake_runner.hang_up()
    thread.join()


def png(width: int = 64, height: int = 64, colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


@pytest.fixture
def red() -> str:
    return data_uri(png())


@pytest.fixture
def internet(source) -> Iterator[WebServer]:
    """Somebody else's server, which this source may call: a picture, and a receiver of webhooks."""
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
