"""Fixtures for tests with third-party clients, with real images of the demo models.

``platform`` runs the web server, a worker thread and a runner in this process. ``installation`` starts the
platform's processes, for clients that need only its address and a key.
"""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from django.db import connection
from django.utils import timezone
from PIL import Image

from access.models import AccessKey
from gpu_runner.server.app import RunnerApp
from jobs.models import Runner
from jobs.scheduling.dispatcher import claim_next
from jobs.tasks import run_job
from models_registry.models import Family, Kind, ModelFile
from tests.e2e.installation import Installation
from tests.support.demo_engine import DEMO_CHECKPOINT, Studio, demo_file
from tests.support.migrated_database import MigratedDatabase

TOKEN = "the runner's token"
RUNNER = "local"
SLOTS = 4
LORA = "loras/atelier-night.safetensors"
TAGGER = "taggers/atelier-tagger.onnx"


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    studio = Studio.of_the_demo()
    yield studio
    studio.close()


@pytest.fixture(scope="session")
def runner_url(studio: Studio) -> Iterator[str]:
    application = RunnerApp(studio.engine, TOKEN, SLOTS).application()
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def demo_models(db) -> ModelFile:
    """Register the demo checkpoint and a LoRA. Returns the checkpoint."""
    for kind, path in ((Kind.LORA, LORA), (Kind.CHECKPOINT, DEMO_CHECKPOINT)):
        file = demo_file(path)
        name = path.rpartition("/")[2].removesuffix(".safetensors")
        registered = ModelFile.objects.create(
            kind=kind, family=Family.SD15, name=name, path=path, sha256=file.sha256, is_default=True
        )
    return registered


@pytest.fixture
def demo_tagger(db) -> ModelFile:
    file = demo_file(TAGGER)
    return ModelFile.objects.create(kind=Kind.TAGGER, name="atelier-tagger", path=TAGGER, sha256=file.sha256)


@pytest.fixture
def platform(transactional_db, settings, runner_url, demo_models, live_server) -> Iterator[str]:
    """Base URL of a platform whose jobs are executed by a thread."""
    settings.RUNNER_TOKEN = TOKEN
    settings.JOB_WAIT_S = 300
    seen = {"slots": SLOTS, "boot_id": "boot", "seen_at": timezone.now() + timedelta(hours=1)}
    Runner.objects.create(name=RUNNER, url=runner_url, **seen)
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.05):
            for lease in claim_next(RUNNER, 1):
                run_job(str(lease.job_id), lease.attempt)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield live_server.url
    stop.set()
    thread.join()


@pytest.fixture
def credentials(platform, source) -> tuple[str, str]:
    key, secret = AccessKey.issue(source)
    return key.key_id, secret


@pytest.fixture
def http(platform, credentials) -> Iterator[httpx.Client]:
    """HTTP client with Basic authentication."""
    with httpx.Client(base_url=platform, auth=credentials, timeout=300) as client:
        yield client


@pytest.fixture(scope="session")
def installation(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    migrated_database: MigratedDatabase,
) -> Iterator[Installation]:
    """The platform's processes. One set for the whole session, because they start slowly."""
    folder = tmp_path_factory.mktemp("clients")
    installation = Installation(folder, migrated_database.create(folder / "atelier.sqlite3"))
    installation.start("runner", "web", "generation")
    yield installation
    installation.stop()
    if request.session.testsfailed:
        print(installation.logs())


@pytest.fixture
def first_image() -> Callable[[dict[str, Any]], Image.Image]:
    """Decode the first image of an A1111 response body."""
    return lambda body: Image.open(io.BytesIO(base64.b64decode(body["images"][0])))
