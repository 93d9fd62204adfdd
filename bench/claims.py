"""Time from the queue to a lease: reading the snapshot, the policy's choice and the claim, by the length of the queue."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.report import Row
from tests.e2e.installation import Installation
from tests.support.postgres import postgres

SHORT, LONG = 1_000, 1_000_000  # queued jobs
SOURCES = 10
CLAIMS = 200
PREPARE = """
from access.models import BusinessSource
from django.utils import timezone
from gpu_runner.protocol import GenerationRequest
from jobs.admission.admit import admit
from jobs.admission.submission import Submission
from jobs.models import Runner
from datetime import timedelta

Runner.objects.update(slots=1, seen_at=timezone.now() + timedelta(days=1), problem="", boot_id="bench")
for number in range({sources}):
    source = BusinessSource.objects.create(name=f"bench-{{number}}")
    request = GenerationRequest(prompt="a red circle", width=64, height=64, num_inference_steps=1)
    admit(Submission(source, None, "native", "txt2img", request))
print(0)
"""
# Copies each source's job: admitting a million one by one would take hours.
GROW = """
from django.db import connection
from jobs.models import Job

columns = [field.column for field in Job._meta.local_concrete_fields]
is_postgresql = connection.vendor == "postgresql"
new_id = "gen_random_uuid()" if is_postgresql else "lower(hex(randomblob(16)))"
numbers = "generate_series(1, {copies}) AS number" if is_postgresql else (
    "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {copies}) SELECT i FROM n)"
)
values = [new_id if column == "id" else f'job."{{column}}"' for column in columns]
names = ", ".join(f'"{{column}}"' for column in columns)
with connection.cursor() as cursor:
    cursor.execute(f"CREATE TEMPORARY TABLE template AS SELECT * FROM jobs_job ORDER BY created_at LIMIT {sources}")
    cursor.execute(f"INSERT INTO jobs_job ({{names}}) SELECT {{', '.join(values)}} FROM template AS job, {{numbers}}")
    cursor.execute("DROP TABLE template")
    if is_postgresql:  # its autovacuum would do this; nothing analyzes a SQLite database
        cursor.execute("ANALYZE")
print(Job.objects.count())
"""
CLAIM = """
import json, statistics, time
from jobs.execution import lifecycle
from jobs.scheduling.dispatcher import claim_next

seconds = []
for _ in range({claims}):
    started = time.perf_counter()
    (lease,) = claim_next("local", 1)
    seconds.append(time.perf_counter() - started)
    lifecycle.requeue(lease, note="bench")
print(json.dumps([statistics.median(seconds), sorted(seconds)[len(seconds) // 10]]))
"""


def measure_database(name: str, database_url: str, folder: Path) -> list[Row]:
    installation = Installation(folder, database_url, LOG_LEVEL="ERROR")
    try:
        installation.python(PREPARE.format(sources=SOURCES))
        medians = []
        for jobs, before in ((SHORT, 0), (LONG, SHORT)):
            installation.python(GROW.format(sources=SOURCES, copies=(jobs - before) // SOURCES))
            installation.python(CLAIM.format(claims=CLAIMS // 4))  # warm-up
            medians.append(installation.python(CLAIM.format(claims=CLAIMS)))
    finally:
        installation.stop()
    (short, short_p10), (long, long_p10) = medians
    return [
        Row(f"claim p50 at {SHORT:,} queued jobs, {name}", short * 1000, "ms"),
        Row(f"claim p50 at {LONG:,} queued jobs, {name}", long * 1000, "ms"),
        Row(f"    their ratio, {name}", long / short, "×", "≤ 1.3"),
        Row(f"    the same of the 10th percentiles, {name}", long_p10 / short_p10, "×"),
    ]


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with postgres() as url:
            rows = measure_database("PostgreSQL", url, folder / "postgres")
        url = f"sqlite:///{folder / 'atelier.sqlite3'}"
        return rows + measure_database("SQLite", url, folder / "sqlite")
