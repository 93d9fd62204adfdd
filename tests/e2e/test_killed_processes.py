"""Each kind of process is killed in each state of a job. The job ends once, and is not blamed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.e2e.faked_installation import CLUSTER, FOLLOWING, STORING, FakedInstallation, assert_ends_once
from tests.e2e.installation import eventually
from tests.support.fake_runner import TOKEN
from tests.support.migrated_database import MigratedDatabase

pytestmark = pytest.mark.processes

WORKERS = 2


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, migrated_database: MigratedDatabase
) -> Iterator[FakedInstallation]:
    data_dir: Path = tmp_path_factory.mktemp("killed")
    created = FakedInstallation(
        data_dir,
        migrated_database.create(data_dir / "atelier.sqlite3"),
        RUNNER_TOKEN=TOKEN,
        GENERATION_WORKERS=str(WORKERS),
        JOB_LEASE_S="4",
        JOB_HAND_OVER_S="2",
    )
    created.start("web", "generation", "background")
    yield created
    created.stop()
    created.runner.close()


@pytest.fixture
def idle(installation: FakedInstallation) -> Iterator[FakedInstallation]:
    """The installation, all of whose processes wait for work."""
    installation.wait_until_idle("generation", WORKERS)
    eventually(lambda: installation.client.get("/readyz").json()["checks"]["hand_over"] == "ok", "ready")
    yield installation
    installation.runner.release()


@pytest.mark.parametrize("kind", CLUSTER)
def test_generation_process_killed_while_idle(idle, kind):
    """All workers are killed but one, which then takes the job: those that wait hold no lock."""
    idle.kill_kind("generation", kind, WORKERS - 1)
    for _number in range(WORKERS + 1):
        assert_ends_once(idle, idle.submit())


@pytest.mark.parametrize("kind", CLUSTER)
def test_generation_process_killed_between_claim_and_begin(idle, kind):
    """The workers are stopped, so that the claimed job is handed over, but not begun."""
    workers = idle.members("generation", "worker")
    for worker in workers:
        worker.suspend()
        eventually(lambda: worker.status() == psutil.STATUS_STOPPED, "stopped")  # noqa: B023
    task_id = idle.submit()
    claimed = eventually(lambda: idle.job(task_id)["state"] == "running" and idle.job(task_id), "claimed")
    assert not claimed["begun"]
    if kind in ("sentinel", "parent"):  # the workers end with them
        for worker in workers:
            worker.kill()
    idle.kill_kind("generation", kind)
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.resume()
    assert_ends_once(idle, task_id)


@pytest.mark.parametrize("kind", CLUSTER)
@pytest.mark.parametrize("state", [FOLLOWING, STORING])
def test_generation_process_killed_while_it_runs_a_job(idle, state, kind):
    idle.runner.hold(state)
    task_id = idle.submit()
    idle.runner.reached[state].wait()
    idle.kill_kind("generation", kind)
    idle.runner.release()
    assert_ends_once(idle, task_id)
    assert_ends_once(idle, idle.submit())


@pytest.mark.parametrize("state", [FOLLOWING, STORING])
def test_runner_killed_while_it_runs_a_job(idle, state):
    idle.runner.hold(state)
    task_id = idle.submit()
    idle.runner.reached[state].wait()
    idle.runner.kill()
    idle.runner.release()
    assert_ends_once(idle, task_id, deaths=1)


@pytest.mark.parametrize("state", ["idle", FOLLOWING, STORING])
def test_web_processes_killed(idle, state):
    if state != "idle":
        idle.runner.hold(state)
    task_id = idle.submit()
    if state != "idle":
        idle.runner.reached[state].wait()
    for worker in psutil.Process(idle.processes["web"].pid).children():
        worker.kill()
    idle.runner.release()
    assert_ends_once(idle, task_id)
    eventually(idle.is_healthy, "new web processes")


@pytest.mark.parametrize("kind", CLUSTER)
def test_background_process_killed_while_idle(installation, kind):
    installation.wait_until_idle("background", workers=1)
    installation.kill_kind("background", kind)
    installation.python(
        "from django_q.tasks import async_task; async_task('jobs.tasks.sweep', q_options={}); print(1)"
    )
    eventually(
        lambda: installation.python("from django_q.models import OrmQ; print(OrmQ.objects.count())") == 0,
        "the background task is done",
    )


def test_stopped_cluster_finishes_its_job(idle):
    """The order to stop reaches the parent process, as by systemd."""
    idle.runner.hold(FOLLOWING)
    task_id = idle.submit()
    idle.runner.reached[FOLLOWING].wait()
    cluster = idle.processes.pop("generation")
    cluster.send_signal(signal.SIGTERM)
    idle.runner.release()
    assert cluster.wait(60) == 0
    job = idle.job(task_id)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    idle.start("generation")


def test_workers_that_begin_no_jobs_are_reported(idle):
    """Stopped workers are alive, so nobody replaces them."""
    workers = idle.members("generation", "worker")
    for worker in workers:
        worker.suspend()
    task_id = idle.submit()
    checks = eventually(
        lambda: (idle.client.get("/readyz").json()["checks"]["hand_over"] == "failed") and idle.job(task_id),
        "not ready",
    )
    assert not checks["begun"]
    for worker in workers:
        worker.resume()
    assert_ends_once(idle, task_id)
    eventually(lambda: idle.client.get("/readyz").json()["checks"]["hand_over"] == "ok", "ready again")
