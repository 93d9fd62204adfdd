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
from jobs.models import Job, Runner
from jobs.scheduling.dispatcher import claim_next
from jobs.tasks import run_job
from tests.support import fake_runner as behaviours
from tests.support.fake_runner import TOKEN, FakeRunner

PREFIX = "/api/v1/"
RUNNER = "local"


class Caller:
    """Somebody with a key, and Django's own client."""

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
def worker(transactional_db, runner: Runner, fake_runner: FakeRunner, work) -> Iterator[FakeRunner]:
    """The generation cluster, as a thread."""
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


@pytest.fixture
def until_told(fake_runner: FakeRunner) -> None:
    fake_runner.behaviour = behaviours.draws_until_told


@pytest.fixture
def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def data_uri(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()
