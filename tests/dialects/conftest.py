"""Fixtures of all dialects: two tenants, a fake runner, and a worker that runs jobs on it.

A dialect's own conftest has ``caller``: a class that sends requests with a key and its secret.
"""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from access.models import AccessKey
from jobs.models import Runner
from jobs.scheduling.dispatcher import claim_next
from jobs.tasks import run_job
from tests.support.fake_runner import TOKEN, FakeRunner

RUNNER = "local"


@pytest.fixture(autouse=True)
def no_waiting(settings) -> None:
    """Synchronous endpoints do not wait for the end of a job."""
    settings.JOB_WAIT_S = settings.STABLEDIFFUSIONAPI_WAIT_S = 0


@pytest.fixture
def alice(source, checkpoint, caller) -> Any:
    return caller(*AccessKey.issue(source))


@pytest.fixture
def charlie(other_source, caller) -> Any:
    """A client of another tenant."""
    return caller(*AccessKey.issue(other_source))


@pytest.fixture
def fake_runner(settings) -> Iterator[FakeRunner]:
    settings.RUNNER_TOKEN = TOKEN
    fake = FakeRunner()
    yield fake
    fake.close()


@pytest.fixture
def runner(db, fake_runner: FakeRunner) -> Runner:
    fields = {"slots": 4, "boot_id": "first boot", "seen_at": timezone.now() + timedelta(hours=1)}
    return Runner.objects.create(name=RUNNER, url=fake_runner.url, **fields)


@pytest.fixture
def work(runner: Runner) -> Callable[[], None]:
    """Runs all queued jobs to their end, with the behavior of the fake runner."""

    def work() -> None:
        for lease in claim_next(RUNNER, 4):
            run_job(str(lease.job_id), lease.attempt)

    return work


@pytest.fixture
def worker(transactional_db, settings, runner: Runner, fake_runner: FakeRunner, work) -> Iterator[FakeRunner]:
    """The generation cluster as a thread, for tests whose client waits for the end of a job."""
    settings.JOB_WAIT_S = settings.STABLEDIFFUSIONAPI_WAIT_S = 60
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
