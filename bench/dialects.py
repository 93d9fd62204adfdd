"""What a door costs beside the picture: processor time from the body to a submission, and from the job to the answer.

In a process of its own on an empty SQLite database. Another door adds itself to ``doors``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.report import Row

ROUNDS = 200
ROOT = Path(__file__).resolve().parents[1]
WORDS = {"prompt": "a red circle on a blue background", "width": 256, "height": 256, "seed": 8}


def doors(key: Any) -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], object]]]:
    """For each its name, how it parses, and how it renders."""
    from dialects.a1111.request import read_submission as a1111
    from dialects.a1111.response import outcome
    from dialects.native.request import JobRequest
    from dialects.native.response import job_detail

    body = {**WORDS, "steps": 20, "cfg_scale": 7}
    yield "a1111", lambda: a1111("txt2img", key, dict(body)), outcome
    yield (
        "native",
        lambda: JobRequest.model_validate(dict(WORDS)),
        lambda job: job_detail(job).model_dump_json(),
    )


def milliseconds(act: Callable[[], object]) -> float:
    act()
    taken = []
    for _ in range(ROUNDS):
        begin = time.thread_time()
        act()
        taken.append((time.thread_time() - begin) * 1000)
    return statistics.median(taken)


def main() -> None:
    """The child: one line of JSON, name to milliseconds of parsing and rendering."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from access.models import AccessKey, BusinessSource
    from gpu_runner.protocol import Done
    from jobs import lifecycle
    from jobs.admission import admit
    from jobs.models import Job, Output, Runner
    from models_registry.models import Family, Kind, ModelFile

    key, _secret = AccessKey.issue(BusinessSource.objects.create(name="bench"))
    ModelFile.objects.create(
        kind=Kind.CHECKPOINT, family=Family.SD15, name="bench", path="checkpoints/bench", sha256="0" * 64
    )
    runner = Runner.objects.create(name="bench", url="http://127.0.0.1:9", slots=1)
    from dialects.a1111.request import read_submission

    job = admit(read_submission("txt2img", key, {**WORDS, "steps": 20, "send_images": False}))
    lease = lifecycle.claim(job.pk, runner)
    assert lease is not None
    picture = Output(
        job=job, index=0, file="x.png", sha256="0" * 64, size_bytes=1, width=256, height=256, seed=8
    )
    lifecycle.succeed(lease, Done(engine_seconds=1, device_seconds=1, steps_run=20), [picture])
    ended = Job.objects.select_related("checkpoint").get(pk=job.pk)
    told = {
        name: [milliseconds(parse), milliseconds(lambda render=render: render(ended))]
        for name, parse, render in doors(key)
    }
    print(json.dumps(told))


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "DATA_DIR": folder,
            "DATABASE_URL": f"sqlite:///{folder}/bench.sqlite3",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
            "SECRET_KEY": "bench",
            "RUNNER_TOKEN": "bench",
        }
        child = subprocess.run(
            [sys.executable, "-m", "bench.dialects"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        )
    return [
        row
        for name, (parse, render) in json.loads(child.stdout.splitlines()[-1]).items()
        for row in (
            Row(f"{name}: parse", parse, "ms"),
            Row(f"{name}: render", render, "ms"),
            Row(f"{name}: both", parse + render, "ms", "≤ 3 ms"),
        )
    ]


if __name__ == "__main__":
    main()
