"""Latency of console pages and of claiming a job, at 10³, 10⁵ and 10⁶ jobs on PostgreSQL.

At the largest size, also the time of the ledger check and the number of old jobs archived per hour.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import psycopg

from bench.report import Row
from tests.e2e.installation import Installation
from tests.support.postgres import postgres

SIZES = (1_000, 100_000, 1_000_000)
ROUNDS = 15
WARM_UP = 3
GOAL_MS, GOAL_RATIO = 150, 1.3
SOURCES = 4
QUEUED = 200  # for every table size: the queue length does not depend on the number of finished jobs

SEED = f"""
from django.contrib.auth.models import User
from access.models import BusinessSource
from gpu_runner.protocol import GenerationRequest
from jobs.admission.admit import admit
from jobs.admission.submission import Submission
from jobs.models import Runner
User.objects.create_superuser("bench", password="bench")
sources = [BusinessSource.objects.create(name=f"bench-{{i}}", max_concurrent_jobs=10000) for i in range({SOURCES})]
request = GenerationRequest(prompt="a red circle on a blue background, highly detailed", seed=1, width=512, height=512)
received = {{"parameters": request.model_dump(mode="json")}}
admit(Submission(sources[0], None, "a1111", "txt2img", request, received))
Runner.objects.update(slots=8)
print(min(source.pk for source in sources))
"""
CLAIM = """
import json, statistics, time
from django.utils import timezone
from jobs.scheduling.dispatcher import claim_next
from jobs.models import Job, Runner
seconds = []
for _ in range(40):
    Runner.objects.update(slots=1, enabled=True, draining=False, problem="", seen_at=timezone.now(), boot_id="bench")
    started = time.perf_counter()
    assert claim_next("local", 1)
    seconds.append(time.perf_counter() - started)
    Job.objects.filter(state="running").update(state="succeeded")
print(json.dumps(statistics.median(seconds[5:]) * 1000))
"""
CHECK = """
import json, time
from jobs.billing.ledger_check import disagreements
started = time.perf_counter()
differences = list(disagreements())
assert not differences, differences[:3]
print(json.dumps(time.perf_counter() - started))
"""
TIDY = """
import json, time
from jobs.retention.cleanup import tidy
started = time.perf_counter()
done = tidy(float("inf"))
print(json.dumps([done.archived, time.perf_counter() - started]))
"""
OLD_DAYS = 89  # the jobs are spread over 90 days, so that 1/90 of them is older
# 1 of 20 jobs failed, some never started. The newest are queued.
VALUES = {
    "id": "gen_random_uuid()",
    "source_id": f"%(source)s + g %% {SOURCES}",
    "dialect": "(array['a1111', 'native', 'volcengine', 'zhiqite', 'stablediffusionapi', 'smzdm'])[1 + g %% 6]",
    "lane": "(g / 7) %% 3",
    "external_id": "CASE WHEN g %% 2 = 0 THEN 'order-' || g ELSE '' END",
    "state": f"CASE WHEN g > %(jobs)s - {QUEUED} THEN 'queued' WHEN g %% 20 = 0 THEN 'failed'"
    " WHEN g %% 101 = 0 THEN 'cancelled' WHEN g %% 997 = 0 THEN 'expired' ELSE 'succeeded' END",
    "error_code": "CASE WHEN g %% 20 = 0 THEN 'out_of_memory' ELSE '' END",
    "created_at": "now() - interval '90 days' * (%(jobs)s - g) / %(jobs)s",
    "started_at": "now() - interval '90 days' * (%(jobs)s - g) / %(jobs)s + interval '1 second'",
    "finished_at": f"CASE WHEN g > %(jobs)s - {QUEUED} THEN NULL"
    " ELSE now() - interval '90 days' * (%(jobs)s - g) / %(jobs)s + interval '4 seconds' END",
    "runner_id": f"CASE WHEN g > %(jobs)s - {QUEUED} THEN NULL ELSE (SELECT min(id) FROM jobs_runner) END",
    "expires_at": "now() + interval '1 day'",
}
RELATED_ROWS = (
    "INSERT INTO jobs_transition (job_id, from_state, to_state, note, at)"
    " SELECT id, '', 'queued', '', created_at FROM jobs_job",
    "INSERT INTO jobs_output (job_id, kind, index, file, target_name, sha256, size_bytes, width, height, seed,"
    " content_type, infotext, created_at) SELECT id, 'picture', 0, 'outputs/none.png', '', repeat('0', 64), 1, 512,"
    " 512, 1, 'image/png', 'a red circle', created_at FROM jobs_job WHERE state = 'succeeded'",
    "TRUNCATE access_posting, access_account",
    "INSERT INTO access_posting (source_id, key_id, job_id, kind, amount, images, day, dialect, model, created_at)"
    " SELECT source_id, key_id, jobs_job.id, kind, CASE kind WHEN 'reserve' THEN cost_estimate"
    " WHEN 'release' THEN -cost_estimate ELSE cost END, 1, created_at::date, dialect, 'shapes', created_at"
    " FROM jobs_job, unnest(array['reserve', 'release', 'settle']) kind"
    " WHERE kind = 'reserve' OR kind = 'release' AND state <> 'queued' OR kind = 'settle' AND state = 'succeeded'",
)

INDEXES = (
    "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('jobs_job', 'jobs_output')"
    " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
)


def fill(
    database: psycopg.Connection, jobs: int, source: int, related_rows: Sequence[str] = RELATED_ROWS
) -> None:
    """Truncate the table except for one job, and create ``jobs`` copies of it and the rows that refer to them."""
    columns = [
        name
        for (name,) in database.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'jobs_job'"
        )
    ]
    names = ", ".join(f'"{name}"' for name in columns)
    expressions = ", ".join(VALUES.get(name, f'one."{name}"') for name in columns)
    database.execute("CREATE TEMP TABLE IF NOT EXISTS one AS SELECT * FROM jobs_job LIMIT 1")
    database.execute("TRUNCATE jobs_job CASCADE")
    indexes = database.execute(INDEXES).fetchall()  # faster created after the rows
    for name, _definition in indexes:
        database.execute(f'DROP INDEX "{name}"')
    database.execute(
        f"INSERT INTO jobs_job ({names}) SELECT {expressions} FROM one, generate_series(1, %(jobs)s) g",
        {"jobs": jobs, "source": source},
    )
    for statement in related_rows:
        database.execute(statement)
    for _name, definition in indexes:
        database.execute(definition)
    database.execute("VACUUM ANALYZE")


def signed_in(base_url: str) -> httpx.Client:
    client = httpx.Client(base_url=base_url, timeout=120, follow_redirects=True)
    form = client.get("/admin/login/").text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token
    client.post(
        "/admin/login/",
        data={"csrfmiddlewaretoken": token[1], "username": "bench", "password": "bench", "next": "/admin/"},
        headers={"Referer": base_url},
    ).raise_for_status()
    return client


def pages(database: psycopg.Connection, source: int) -> Iterator[tuple[str, str]]:
    job = database.execute("SELECT id FROM jobs_job WHERE state = 'failed' ORDER BY id LIMIT 1").fetchone()
    middle = database.execute(
        "SELECT id, to_char(created_at AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS.US') FROM jobs_job"
        " ORDER BY created_at OFFSET (SELECT count(*) / 2 FROM jobs_job) LIMIT 1"
    ).fetchone()
    assert job
    assert middle
    jobs = "/admin/jobs/job/"
    yield "job list", jobs
    yield "job list, failed ones of one source", f"{jobs}?state=failed&source={source}"
    yield "job list, this month's of one dialect", f"{jobs}?age=month&dialect=volcengine"
    yield "job list, search for a caller's id", f"{jobs}?q=order-1"
    yield "job list, from its middle", f"{jobs}?older_than={middle[1]}_{middle[0]}"
    yield "job page", f"{jobs}{job[0]}/change/"
    yield "dashboard", "/admin/"


def median_ms(client: httpx.Client, url: str) -> float:
    seconds = []
    for _ in range(WARM_UP + ROUNDS):
        started = time.perf_counter()
        client.get(url).raise_for_status()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM_UP:]) * 1000


def maintenance(installation: Installation) -> list[Row]:
    """Maintenance benchmarks on the largest table, whose postings match its jobs."""
    check = float(installation.python(CHECK))
    installation.environment |= {name: str(OLD_DAYS) for name in ("KEEP_PICTURES_DAYS", "ARCHIVE_JOBS_DAYS")}
    archived, seconds = installation.python(TIDY)
    return [
        Row(f"ledger check at {SIZES[-1]:,} jobs", check, "s"),
        Row(f"old jobs archived at {SIZES[-1]:,} jobs, {archived:,} of them", archived / seconds, "/s"),
    ]


def measure() -> list[Row]:
    rows: list[Row] = []
    maintenance_rows: list[Row] = []
    smallest: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        installation = Installation(Path(folder), url, LOG_LEVEL="WARNING")
        try:
            source = int(installation.python(SEED))
            installation.start("web")
            client = signed_in(installation.base_url)
            with psycopg.connect(url, autocommit=True) as database:
                for jobs in SIZES:
                    fill(database, jobs, source)
                    figures = {label: median_ms(client, page) for label, page in pages(database, source)}
                    if jobs == SIZES[-1]:
                        maintenance_rows = maintenance(installation)
                    figures["claim"] = float(installation.python(CLAIM))
                    for label, figure in figures.items():
                        ratio = figure / smallest.setdefault(label, figure)
                        goal = f"≤ {GOAL_MS} ms" if jobs == SIZES[-1] else ""
                        rows.append(Row(f"{label} at {jobs:,} jobs", figure, "ms", goal))
                        if jobs > SIZES[0]:
                            rows.append(Row("  to 1,000 jobs", ratio, "×", goal and f"≤ {GOAL_RATIO}×"))
        finally:
            installation.stop()
    return rows + maintenance_rows
