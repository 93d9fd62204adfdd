"""An installation with a fake runner, so that a test decides how long a job is followed and stored."""

from __future__ import annotations

import random
import re
import socket
import threading
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

import psutil

from tests.e2e.installation import Installation, eventually
from tests.support.fake_runner import FakeRunner, HungUp, JobStream

FOLLOWING = "following"  # the worker reads the events of the runner
STORING = "storing"  # the worker has stored the image; the job has not ended
LOGGED = {  # what django-q2 logs when a process of the kind starts, before its process id
    "worker": "ready for work at",
    "pusher": "pushing tasks at",
    "monitor": "monitoring at",
}
CLUSTER = (*LOGGED, "sentinel", "parent")


class HeldRunner(FakeRunner):
    """A fake runner that can hold its jobs in a state."""

    def __init__(self) -> None:
        self.reached = {FOLLOWING: threading.Event(), STORING: threading.Event()}
        self.may_pass = {FOLLOWING: threading.Event(), STORING: threading.Event()}
        self.boots = 0
        self.max_seconds = 0.0  # of a job; the time is random
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
        time.sleep(random.uniform(0, self.max_seconds))
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


def assert_ends_once(installation: FakedInstallation, task_id: str, deaths: int = 0) -> None:
    def terminal() -> dict[str, Any] | None:
        job = installation.job(task_id)
        return job if job and job["state"] not in ("queued", "running") else None

    job = eventually(terminal, f"{task_id} ends")
    assert (job["state"], job["outputs"], job["deaths"]) == ("succeeded", 1, deaths), job
    assert job["postings"] == ["release", "reserve", "settle"]
    assert [state for state, _note in job["timeline"]].count("succeeded") == 1
