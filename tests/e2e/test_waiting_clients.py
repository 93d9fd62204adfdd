"""Synchronous clients that wait for jobs of a source leave room for everybody else."""

from __future__ import annotations

import resource
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from tests.e2e.installation import Installation, eventually
from tests.e2e.test_chain import send_on_a_socket
from tests.support.migrated_database import MigratedDatabase

pytestmark = pytest.mark.processes

CLIENTS = 1000
THREADS = 16
SHARE = THREADS * 3 // 8
SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 1}
OTHER_SOURCE = """
import json
from access.models import AccessKey, BusinessSource
BusinessSource.objects.update(max_queued_jobs=2000)
key, secret = AccessKey.issue(BusinessSource.objects.create(name="other"))
print(json.dumps([key.key_id, secret]))
"""
QUEUED = "from jobs.models import Job; print(Job.objects.filter(state='queued', source__name='demo').count())"


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, migrated_database: MigratedDatabase
) -> Iterator[Installation]:
    """A web process without runner and clusters: no job ever ends."""
    data_dir = tmp_path_factory.mktemp("waiting")
    database_url = migrated_database.create(data_dir / "db.sqlite3")
    installation = Installation(data_dir, database_url, WEB_THREADS=str(THREADS))
    try:
        installation.start("web")
        yield installation
    finally:
        installation.stop()


@pytest.fixture(scope="module")
def other(site: Installation) -> Iterator[httpx.Client]:
    """A client of another source."""
    key_id, secret = site.python(OTHER_SOURCE)
    with httpx.Client(base_url=site.base_url, auth=(key_id, secret), timeout=60) as client:
        yield client


@pytest.fixture
def many_open_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def waiting(connections: list[socket.socket]) -> list[socket.socket]:
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    answered = {descriptor for descriptor, _event in poll.poll(0)}
    return [connection for connection in connections if connection.fileno() not in answered]


def test_a_thousand_waiting_clients_of_one_source_leave_room_for_another(site, other, many_open_files):
    with ExitStack() as opened:
        clients = [
            opened.enter_context(send_on_a_socket(site, f"crowd-{number}", SMALL))
            for number in range(CLIENTS)
        ]
        eventually(lambda: site.python(QUEUED) == CLIENTS, "all are admitted")
        eventually(lambda: len(waiting(clients)) == SHARE, "all but the source's share are answered")
        refused = next(client for client in clients if client not in waiting(clients))
        response = refused.recv(4096).lower()
        assert response.startswith(b"http/1.1 503")
        assert b"retry-after:" in response
        assert b"x-job-id:" in response

        assert httpx.get(f"{site.base_url}/healthz", timeout=60).status_code == 200
        assert httpx.get(f"{site.base_url}/admin/login/", timeout=60).status_code == 200
        job = other.post("/api/v1/jobs", json={"prompt": "a red circle"}).json()
        assert other.get(f"/api/v1/jobs/{job['id']}").json()["state"] == "queued"

    eventually(lambda: can_wait(site), "the clients that hung up have freed their threads")


def can_wait(site: Installation) -> bool:
    """Whether a new request of the source waits, instead of being answered at once."""
    with send_on_a_socket(site, "again", SMALL) as client:
        readable, _writable, _failed = select.select([client], [], [], 3)
        return not readable


def test_a_request_of_another_source_waits_beside_them_until_its_job_ends(site, other):
    with ExitStack() as opened:
        clients = [
            opened.enter_context(send_on_a_socket(site, f"beside-{number}", SMALL))
            for number in range(2 * SHARE)
        ]
        eventually(lambda: 0 < len(waiting(clients)) <= SHARE, "the source's share is taken")
        with ThreadPoolExecutor(1) as pool:
            request = pool.submit(other.post, "/sdapi/v1/txt2img", json={**SMALL, "force_task_id": "mine"})
            job = eventually(lambda: site.job("mine"), "the job is admitted")
            time.sleep(0.5)
            assert not request.done()
            assert other.post(f"/api/v1/jobs/{job['id']}/cancel").status_code == 200
            assert request.result().status_code == 200
