"""PostgreSQL restarts while clients wait: no job is lost or failed, and clients are told to try again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.faked_installation import FOLLOWING, STORING, FakedInstallation, assert_ends_once
from tests.e2e.installation import eventually
from tests.support.fake_runner import TOKEN
from tests.support.postgres import NoPostgres, Server, server

pytestmark = pytest.mark.processes

REQUEST = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 2}


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    try:
        with server() as started:
            yield started
    except NoPostgres as reason:
        if os.environ.get("REQUIRE_POSTGRES"):
            raise
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def installation(database: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakedInstallation]:
    created = FakedInstallation(tmp_path_factory.mktemp("restart"), database.url, RUNNER_TOKEN=TOKEN)
    created.start("web", "generation", "background")
    created.wait_until_idle("generation", workers=2)
    created.wait_until_idle("background", workers=1)
    yield created
    created.stop()
    created.runner.close()


def post(installation: FakedInstallation, task_id: str) -> httpx.Response:
    return installation.client.post("/sdapi/v1/txt2img", json={**REQUEST, "force_task_id": task_id})


@pytest.mark.parametrize("state", [FOLLOWING, STORING])
def test_waiting_client_gets_its_images_after_a_restart(installation, database, state):
    responses: list[httpx.Response] = []
    installation.runner.hold(state)
    client = threading.Thread(target=lambda: responses.append(post(installation, f"waits {state}")))
    client.start()
    installation.runner.reached[state].wait()
    database.stop()
    database.start()
    installation.runner.release()
    client.join()
    assert responses[0].status_code == 200, responses[0].text
    assert len(responses[0].json()["images"]) == 1
    job = installation.job(f"waits {state}")
    assert (job["state"], job["attempt"], job["outputs"]) == ("succeeded", 1, 1)


def test_job_that_ends_during_a_restart_is_stored_afterwards(installation, database):
    installation.runner.hold(FOLLOWING)
    task_id = installation.submit()
    installation.runner.reached[FOLLOWING].wait()
    database.stop()
    installation.runner.release()
    assert installation.client.get("/healthz").status_code == 503
    database.start()
    assert_ends_once(installation, task_id)
    assert installation.job(task_id)["attempt"] == 1


def test_clients_are_told_to_try_again_while_the_database_is_down(installation, database):
    assert post(installation, "before").status_code == 200
    database.stop()
    refused = post(installation, "during")
    assert refused.status_code == 503, refused.text
    assert int(refused.headers["Retry-After"]) > 0
    assert installation.client.get("/admin/login/").status_code in (200, 503)
    database.start()
    assert post(installation, "during").status_code == 200  # the first request has a working connection
    assert post(installation, "before").headers["X-Job-Id"] == installation.job("before")["id"]


def test_clusters_go_on_after_a_restart(installation, database):
    database.stop()
    database.start()
    assert_ends_once(installation, installation.submit())
    eventually(lambda: installation.client.get("/readyz").json()["checks"]["hand_over"] == "ok", "ready")
