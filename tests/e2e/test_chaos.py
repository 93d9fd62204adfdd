"""Random kills of random processes under load: no job is lost or executed twice, and the accounts agree.

``make chaos`` runs it for longer: CHAOS_KILLS is the number of kills, CHAOS_SEED repeats a sequence of them.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psutil
import pytest

from tests.e2e.chaos_load import Load
from tests.e2e.faked_installation import CLUSTER, FakedInstallation
from tests.e2e.installation import eventually
from tests.support.databases import KINDS, database
from tests.support.fake_runner import TOKEN
from tests.support.migrated_database import MigratedDatabase

pytestmark = pytest.mark.processes

KILLS = int(os.environ.get("CHAOS_KILLS", "8"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.randrange(1, 10**6)


@pytest.fixture(params=KINDS)
def installation(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    migrated_database: MigratedDatabase,
) -> Iterator[FakedInstallation]:
    data_dir = tmp_path_factory.mktemp(f"chaos-{request.param}")
    with ExitStack() as stack:
        database_url = stack.enter_context(database(request.param, data_dir, migrated_database))
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
    killed: Counter[str] = Counter()
    with Load(installation) as load:
        eventually(lambda: load.serves_all_dialects, "all dialects are served")
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
    assert load.received_callbacks >= len(found["callbacks"]) > 0, context
    assert "agree" in installation.manage("check_ledger"), context
