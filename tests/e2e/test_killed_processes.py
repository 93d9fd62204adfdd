"""Each kind of process is killed in each state of a job. The job ends once, and is not blamed.

The runner is a fake one, so that a test decides how long a job is followed and stored.
"""

from __future__ import annotations

import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.e2e.installation import Installation, eventually
from tests.support.fake_runner import TOKEN, FakeRunner, HungUp, JobStream

pytestmark = pytest.mark.processes

FOLLOWING = "following"  # the worker reads the events of the runner
STORING = "storing"  # the worker has stored the image; the job has not ended
LOGGED = {  # what django-q2 logs when a process of the kind starts, before its process id
    "worker": "ready for work at",
    "pusher": "pushing tasks at",
    "monitor": "monitoring at",
}
CLUSTER = (*LOGGED, "sentinel", "parent")
WORKERS = 2


class HeldRunner(FakeRunner):
    """A fake runner that can hold its jobs in a state."""

    def __init__(self) -> None:
        self.reached = {FOLLOWING: threading.Event(), STORING: threading.Event()}
        self.may_pass = {FOLLOWING: threading.Event(), STORING: threading.Event()}
        self.boots = 0
        super().__init__(self._generate)
        self.release()

    def hold(self, state: str) -> None:
        self.reached[state].clear()
        self.may_pass[state].clear()

    def release(self) -> None:
        for event in self.may_pass.values():
            event.set()

    def kill(self) -> None:
        """Close all connections and come back as a new process."""
        self.boots += 1
        self.restart(f"boot {self.boots}")
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _generate(self, stream: JobStream) -> None:
        boot = self.status.boot_id
        stream.accept()
        self._pass(FOLLOWING, boot)
        stream.show_progress()
        stream.send_image()
        self._pass(STORING, boot)
        stream.finish()

    def _pass(self, state: str, boot: str) -> None:
        self.reached[state].set()
        self.may_pass[state].wait()
        if self.status.boot_id != boot:
            raise HungUp


class FakedInstallation(Installation):
    """An installation whose runner is a ``HeldRunner`` of this process."""

    def runner_url(self) -> str:
        self.runner = HeldRunner()
        return self.runner.url

    def submit(self) -> str:
        """Submit a job and return its external id."""
        task_id = str(uuid4())
        key = f"{self.credentials['key_id']}:{self.credentials['secret']}"
        response = self.client.post(
            "/api/v1/jobs",
            json={"prompt": "a red circle", "width": 64, "height": 64, "external_id": task_id},
            headers={"Authorization": f"Bearer {key}"},
            auth=None,
        )
        assert response.status_code == 201, response.text
        return task_id

    def members(self, cluster: str, kind: str) -> list[psutil.Process]:
        """Running processes of this kind in a cluster."""
        parent = psutil.Process(self.processes[cluster].pid)
        if kind == "parent":
            return [parent]
        sentinels = parent.children()
        if kind == "sentinel":
            return sentinels
        log = (self.data_dir / f"{cluster}.log").read_text()
        started = {int(pid) for pid in re.findall(rf"{LOGGED[kind]} (\d+)", log)}
        return [
            child
            for sentinel in sentinels
            for child in sentinel.children()
            if child.pid in started and child.status() != psutil.STATUS_ZOMBIE
        ]

    def kill_kind(self, cluster: str, kind: str, count: int | None = None) -> None:
        """Kill processes of a kind. The cluster is started again if its parent process ends, as a manager does."""
        for process in self.members(cluster, kind)[:count]:
            process.kill()
        if kind in ("sentinel", "parent"):
            self.processes.pop(cluster).wait(60)
            self.start(cluster)

    def wait_until_idle(self, cluster: str, workers: int) -> None:
        for kind, count in (("worker", workers), ("pusher", 1), ("monitor", 1)):
            eventually(lambda: len(self.members(cluster, kind)) == count, f"{kind} of {cluster}")  # noqa: B023


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakedInstallation]:
    data_dir: Path = tmp_path_factory.mktemp("killed")
    created = FakedInstallation(
        data_dir,
        f"sqlite:///{data_dir / 'atelier.sqlite3'}",
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


def assert_ends_once(installation: FakedInstallation, task_id: str, deaths: int = 0) -> None:
    def terminal() -> dict | None:
        job = installation.job(task_id)
        return job if job and job["state"] not in ("queued", "running") else None

    job = eventually(terminal, f"{task_id} ends")
    assert (job["state"], job["outputs"], job["deaths"]) == ("succeeded", 1, deaths), job
    assert job["postings"] == ["release", "reserve", "settle"]
    assert [state for state, _note in job["timeline"]].count("succeeded") == 1


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
