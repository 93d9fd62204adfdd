"""Pages of the console's gallery at a thousand and a million images, on PostgreSQL and SQLite: ``python -m bench gallery_pages``."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from bench.console import GOAL_MS, GOAL_RATIO, SEED, SOURCES, fill, median_ms, signed_in
from bench.report import Row
from tests.e2e.installation import Installation
from tests.support.postgres import postgres

SIZES = tuple(int(size) for size in os.environ.get("GALLERY_SIZES", "1000,1000000").split(","))
# Of jobs that are older by one second each. Every second one is of another dialect, every tenth image is NSFW.
SQLITE_VALUES = {
    "id": "lower(hex(randomblob(16)))",
    "source_id": f":source + g % {SOURCES}",
    "dialect": "CASE g % 2 WHEN 0 THEN 'a1111' ELSE 'native' END",
    "external_id": "''",
    "state": "'succeeded'",
    "created_at": "datetime('now', '-' || (:jobs - g) || ' seconds') || '.000000'",
    "finished_at": "datetime('now', '-' || (:jobs - g) || ' seconds') || '.000000'",
}
SQLITE_OUTPUTS = (
    'INSERT INTO jobs_output (job_id, kind, "index", file, target_name, sha256, size_bytes, width, height, seed,'
    " content_type, infotext, nsfw, created_at) SELECT id, 'picture', 0, 'outputs/none.png', '', '0', 1, 512, 512, 1,"
    " 'image/png', 'a red circle', rowid % 10 = 0, created_at FROM jobs_job"
)
# Pages of the gallery read no postings and no transitions: a million jobs without them are created in a few minutes.
POSTGRESQL_OUTPUTS = (
    "INSERT INTO jobs_output (job_id, kind, index, file, target_name, sha256, size_bytes, width, height, seed,"
    " content_type, infotext, nsfw, created_at) SELECT id, 'picture', 0, 'outputs/none.png', '', '0', 1, 512, 512, 1,"
    " 'image/png', 'a red circle', row_number() OVER (ORDER BY created_at) % 10 = 0, created_at FROM jobs_job"
    " WHERE state = 'succeeded'"
)
# Not durable, and with memory for the indexes: the file is deleted after the benchmark. A write-ahead log would get a copy
# of each page whenever the transaction needs its memory.
SQLITE_FAST = (
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -1000000",
    "PRAGMA temp_store = MEMORY",
)
TABLES = ("jobs_job", "jobs_output")


def fill_sqlite(path: Path, jobs: int, source: int) -> None:
    """Replace the file by one with ``jobs`` copies of its first job, each with one image. No process may serve it."""
    filled = path.with_suffix(".filled")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(path, filled)
    with contextlib.closing(sqlite3.connect(filled)) as database:
        _fill_sqlite(database, jobs, source)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    filled.replace(path)


def _fill_sqlite(database: sqlite3.Connection, jobs: int, source: int) -> None:
    for pragma in SQLITE_FAST:
        database.execute(pragma)
    names = [row[1] for row in database.execute("PRAGMA table_info(jobs_job)")]
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(SQLITE_VALUES.get(name, f'one."{name}"') for name in names)
    database.execute("CREATE TABLE IF NOT EXISTS one AS SELECT * FROM jobs_job LIMIT 1")
    for table in ("jobs_output", "jobs_transition", "jobs_job"):
        database.execute(f"DELETE FROM {table}")
    indexes = database.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN (?, ?)",
        TABLES,
    ).fetchall()
    for name, _sql in indexes:
        database.execute(f'DROP INDEX "{name}"')
    database.execute(
        "WITH RECURSIVE series(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM series WHERE g < :jobs)"
        f" INSERT INTO jobs_job ({columns}) SELECT {values} FROM series, one",
        {"jobs": jobs, "source": source},
    )
    database.execute(SQLITE_OUTPUTS)
    for _name, sql in indexes:
        database.execute(sql)
    database.execute("ANALYZE")
    database.commit()


def pages(source: int, middle: str) -> Iterator[tuple[str, str]]:
    gallery = "/admin/gallery/"
    yield "newest", gallery
    yield "from the middle", f"{gallery}?after={middle}"
    yield "of one source", f"{gallery}?source={source}"
    yield "of one dialect and month", f"{gallery}?dialect=native&since=2020-01-01"
    yield "favorites (none)", f"{gallery}?favorites=on"
    yield "NSFW", f"{gallery}?rating=nsfw"
    yield "words that nothing has", f"{gallery}?words=hippopotamus"
    yield "LoRA that nothing has", f"{gallery}?lora=none"


def _rows(database: str, installation: Installation, refill: Callable[[int, int], str]) -> list[Row]:
    rows: list[Row] = []
    smallest: dict[str, float] = {}
    source = int(installation.python(SEED))
    for images in SIZES:
        middle = refill(images, source)
        installation.start("web")
        client = signed_in(installation.base_url)
        for label, page in pages(source, middle):
            figure = median_ms(client, page)
            is_largest = images == SIZES[-1]
            rows.append(
                Row(
                    f"{database}, gallery, {label}, at {images:,}",
                    figure,
                    "ms",
                    f"≤ {GOAL_MS} ms" if is_largest else "",
                )
            )
            ratio = figure / smallest.setdefault(label, figure)
            if is_largest and len(SIZES) > 1:
                rows.append(Row("  to the smallest table", ratio, "×", f"≤ {GOAL_RATIO}×"))
        installation.kill("web")
    return rows


def on_postgresql() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        installation = Installation(Path(folder), url, LOG_LEVEL="WARNING")

        def refill(images: int, source: int) -> str:
            with psycopg.connect(url, autocommit=True) as database:
                fill(database, images, source, [POSTGRESQL_OUTPUTS])
                row = database.execute(
                    "SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS.US') || '_' || id || '_0'"
                    " FROM jobs_job ORDER BY created_at OFFSET (SELECT count(*) / 2 FROM jobs_job) LIMIT 1"
                ).fetchone()
            assert row
            return str(row[0])

        try:
            return _rows("PostgreSQL", installation, refill)
        finally:
            installation.stop()


def on_sqlite() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.sqlite3"
        installation = Installation(Path(folder), f"sqlite:///{path}", LOG_LEVEL="WARNING")

        def refill(images: int, source: int) -> str:
            fill_sqlite(path, images, source)
            database = sqlite3.connect(path)
            at, pk = database.execute(
                "SELECT strftime('%Y%m%dT%H%M%S.000000', created_at), id FROM jobs_job"
                " ORDER BY created_at LIMIT 1 OFFSET ?",
                [images // 2],
            ).fetchone()
            database.close()
            return f"{at}_{pk}_0"

        try:
            return _rows("SQLite", installation, refill)
        finally:
            installation.stop()


def measure() -> list[Row]:
    return [*on_postgresql(), *on_sqlite()]
