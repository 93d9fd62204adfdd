"""Random kills of random processes under load: no job is lost or executed twice, and the accounts agree.

``make chaos`` runs it for longer: CHAOS_KILLS is the number of kills, CHAOS_SEED repeats a sequence of them.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.e2e.faked_installation import CLUSTER, FakedInstallation
from tests.e2e.installation import eventually
from tests.support.fake_runner import TOKEN
from tests.support.postgres import NoPostgres, postgres
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.processes

KILLS = int(os.environ.get("CHAOS_KILLS", "8"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.randrange(1, 10**6)
CLIENTS_PER_DIALECT = 2
SIZE = {"prompt": "a red circle", "width": 64, "height": 64}
ALL_ACKNOWLEDGED = {"code": "200", "error_code": 0}  # what the receivers of all dialects respond


@pytest.fixture(params=["sqlite", "postgres"])
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FakedInstallation]:
    data_dir = tmp_path_factory.mktemp(f"chaos-{request.param}")
    with ExitStack() as stack:
        database_url = f"sqlite:///{data_dir / 'atelier.sqlite3'}"
        if request.param == "postgres":
            try:
                database_url = stack.enter_context(postgres())
            except NoPostgres as reason:
                if os.environ.get("REQUIRE_POSTGRES"):
                    raise
                pytest.skip(str(reason))
        created = FakedInstallation(
            data_dir,
            database_url,
            RUNNER_TOKEN=TOKEN,
            GENERATION_WORKERS="4",
            JOB_LEASE_S="4",
            JOB_HAND_OVER_S="2",
            OUTBOUND_ALLOWED="127.0.0.1",
        )
        stack.callback(created.runner.close)
        stack.callback(created.stop)
        created.runner.max_seconds = 1.0
        created.start("web", "generation", "background")
        yield created


class Load:
    """Clients of several dialects. Each sends its request again, with the same id, until it is acknowledged."""

    def __init__(self, installation: FakedInstallation, receiver: WebServer) -> None:
        self.installation, self.receiver = installation, receiver
        self.sent: list[str] = []  # ids of the acknowledged requests
        self._stopping = threading.Event()
        senders = [self.a1111, self.native, self.stablediffusionapi, self.zhiqite]
        self._threads = [
            threading.Thread(target=self._run, args=(sender,), daemon=True)
            for sender in senders * CLIENTS_PER_DIALECT
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, send: Callable[[str], bool]) -> None:
        while not self._stopping.is_set():
            request_id = str(uuid4())
            while not self._is_acknowledged(send, request_id):
                time.sleep(0.2)
            self.sent.append(request_id)

    @staticmethod
    def _is_acknowledged(send: Callable[[str], bool], request_id: str) -> bool:
        try:
            return send(request_id)
        except (httpx.HTTPError, json.JSONDecodeError):  # the web process was killed
            return False

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        url = self.installation.base_url + path
        return httpx.post(url, json=body, headers=headers, timeout=120)

    def a1111(self, request_id: str) -> bool:
        auth = (self.installation.credentials["key_id"], self.installation.credentials["secret"])
        response = httpx.post(
            f"{self.installation.base_url}/sdapi/v1/txt2img",
            json={**SIZE, "steps": 2, "force_task_id": request_id},
            auth=auth,
            timeout=120,
        )
        return response.status_code == 200

    def native(self, request_id: str) -> bool:
        body = {**SIZE, "external_id": request_id, "callback_url": self.receiver.url("/done")}
        response = self._post("/api/v1/jobs", body, {"Authorization": f"Bearer {self._key}"})
        return response.status_code in (200, 201)

    def stablediffusionapi(self, request_id: str) -> bool:
        body = {**SIZE, "key": self._key, "track_id": request_id, "webhook": self.receiver.url("/done")}
        response = self._post("/api/v3/text2img", body, {"Idempotency-Key": request_id})
        return response.json()["status"] in ("success", "processing")

    def zhiqite(self, request_id: str) -> bool:
        credentials = self.installation.credentials
        headers = {
            "X-Request-req-accessKeyId": credentials["key_id"],
            "X-Request-req-accessKeySecret": credentials["secret"],
            "Idempotency-Key": request_id,
        }
        body = {
            **SIZE,
            "width": 128,
            "height": 128,
            "steps": 4,
            "callbackUrl": self.receiver.url("/done"),
            "alwayson_scripts": {
                "sd_model_checkpoint": "atelier-shapes.safetensors",
                "id_task": request_id,
            },
        }
        response = self._post("/AIGCImgOpenServ/saas/sd/v2/text2image", body, headers)
        return response.json()["code"] == "200"

    @property
    def _key(self) -> str:
        return f"{self.installation.credentials['key_id']}:{self.installation.credentials['secret']}"


def kill_something(installation: FakedInstallation, chance: random.Random, may_kill_runner: bool) -> str:
    victims = [(cluster, kind) for cluster in ("generation", "background") for kind in CLUSTER]
    victims += [("web", "worker")] * 2 + [("runner", "process")] * may_kill_runner
    cluster, kind = chance.choice(victims)
    if cluster == "web":
        for worker in psutil.Process(installation.processes["web"].pid).children():
            worker.kill()
    elif cluster == "runner":
        installation.runner.kill()
    else:
        installation.kill_kind(cluster, kind, count=chance.choice([1, None]))
    return f"{cluster} {kind}"


STATES = """
import json
from django.db.models import Count, Q
from jobs.models import Job
from jobs.models.callback import Callback
ended = Count("transitions", filter=Q(transitions__to_state__in=["succeeded", "failed", "cancelled", "expired"]))
jobs = Job.objects.annotate(ends=ended)
print(json.dumps({
    "jobs": [[job.state, job.ends, job.outputs.count(), job.error_code] for job in jobs],
    "callbacks": [[str(job), state] for job, state in Callback.objects.values_list("job_id", "state")],
}))"""


def test_random_kills_lose_nothing(installation):
    print(f"CHAOS_SEED={SEED}")
    chance = random.Random(SEED)
    receiver = WebServer()
    receiver.answers["/done"] = answer(200, json.dumps(ALL_ACKNOWLEDGED).encode())
    killed: Counter[str] = Counter()
    with Load(installation, receiver) as load:
        eventually(lambda: len(load.sent) >= 4, "all dialects are served")
        for _number in range(KILLS):
            # A job that two runners died with is given up, so only one of them is killed.
            killed[kill_something(installation, chance, not killed["runner process"])] += 1
            time.sleep(chance.uniform(0.2, 2.0))
    context = f"CHAOS_SEED={SEED}, killed {dict(killed)}"

    def settled() -> dict[str, Any] | None:
        installation.python("from jobs.outbound.callbacks import outbox; print(outbox.sweep())")
        found = installation.python(STATES)
        unfinished = [job for job in found["jobs"] if job[0] in ("queued", "running")]
        undelivered = [state for _job, state in found["callbacks"] if state not in ("delivered", "dead")]
        return None if unfinished or undelivered else found

    found = eventually(settled, f"everything ends; {context}")
    assert Counter(map(tuple, found["jobs"])) == {("succeeded", 1, 1, ""): len(found["jobs"])}, context
    # A job more than acknowledged ones would be one that was admitted twice for one id.
    assert len(found["jobs"]) == len(load.sent), context
    assert {state for _job, state in found["callbacks"]} == {"delivered"}, context
    assert len(receiver.asked) >= len(found["callbacks"]) > 0, context
    assert "agree" in installation.manage("check_ledger"), context
    receiver.close()
