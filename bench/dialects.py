"""CPU time that each dialect adds: parsing a body into a submission, and rendering a job's response.

Runs in its own process on an empty SQLite database. Register further dialects in ``dialect_cases``.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from bench.report import Row

ROUNDS = 200
ROOT = Path(__file__).resolve().parents[1]
FIELDS = {"prompt": "a red circle on a blue background", "width": 256, "height": 256, "seed": 8}
CHECKPOINT, CONTROLNET = "bench", "canny"


class DialectCase(NamedTuple):
    name: str
    parse: Callable[[], Any]  # request body to submission
    render: Callable[[Any], object]  # finished job to response


def dialect_cases(key: Any) -> Iterator[DialectCase]:
    from django.test import RequestFactory

    from access.models import BusinessSource
    from dialects.a1111.request.submission import read_request as a1111
    from dialects.a1111.response.generation import outcome as a1111_outcome
    from dialects.native.request.submission import JobRequest
    from dialects.native.response.schemas import job_detail
    from dialects.smzdm.authentication import Caller
    from dialects.smzdm.request.fields import ChangeBackgroundFields
    from dialects.smzdm.request.submission import change_background
    from dialects.smzdm.response import outcome as smzdm_outcome
    from dialects.stablediffusionapi.endpoints import ENDPOINTS
    from dialects.stablediffusionapi.request.submission import read_submission as stablediffusionapi
    from dialects.stablediffusionapi.response.job import job_response
    from dialects.volcengine.request.json_body import parsed
    from dialects.volcengine.request.submission import read_submission as volcengine
    from dialects.volcengine.response.image_data import image_data
    from dialects.zhiqite.request.fields_v2 import GenerationV2
    from dialects.zhiqite.request.submission_v2 import TEXT
    from dialects.zhiqite.request.submission_v2 import read_submission as zhiqite
    from dialects.zhiqite.response.task_status import realtime
    from jobs.admission.submission import Submission
    from jobs.models import Lane

    base = "http://127.0.0.1:8000"
    http = RequestFactory().post("/", SERVER_NAME="127.0.0.1")
    source: BusinessSource = key.source

    a1111_body = {**FIELDS, "steps": 20, "cfg_scale": 7, "send_images": False}
    yield DialectCase("a1111", lambda: a1111("txt2img", key, dict(a1111_body)).submission, a1111_outcome)

    def native() -> Submission:
        request = JobRequest.model_validate_json(json.dumps(FIELDS)).generation_request()
        return Submission(source=source, key=key, dialect="native", operation="txt2img", request=request)

    yield DialectCase("native", native, lambda job: job_detail(job).model_dump_json())

    volcengine_body = json.dumps(
        {"req_key": "bench", "prompt": FIELDS["prompt"], "seed": 8, "return_url": True}
    )
    yield DialectCase(
        "volcengine",
        lambda: volcengine(key, "CVProcess", parsed(volcengine_body), lane=Lane.INTERACTIVE),
        lambda job: json.dumps(image_data(job, http, list(job.image_outputs), as_url=True)),
    )

    text_fields = {name: str(value) for name, value in FIELDS.items()}
    yield DialectCase(
        "stablediffusionapi",
        lambda: replace(
            stablediffusionapi(ENDPOINTS["v3/text2img"], key, dict(text_fields), base), external_id="1"
        ),
        lambda job: json.dumps(job_response(job, base)),
    )

    scripts = {"id_task": "bench", "sd_model_checkpoint": CHECKPOINT}
    zhiqite_body = {**FIELDS, "sampler_index": "Euler a", "steps": 20, "alwayson_scripts": scripts}
    yield DialectCase(
        "zhiqite",
        lambda: zhiqite(TEXT, key, GenerationV2.model_validate(zhiqite_body), base),
        lambda job: json.dumps(realtime(job, base), default=str),
    )

    smzdm_body = {
        "from": source.name,
        "img_url": _served(_png()),
        "prompt": FIELDS["prompt"],
        "sd_model_checkpoint": CHECKPOINT,
        "is_remove_bg": False,
        "control_model": CONTROLNET,
    }
    caller = Caller(source, key)
    yield DialectCase(
        "smzdm, including the download of its image",
        lambda: change_background(caller, ChangeBackgroundFields.model_validate(smzdm_body), http),
        lambda job: json.dumps(smzdm_outcome(job, base)),
    )


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (64, 64), (255, 0, 0, 128)).save(file, "PNG")
    return file.getvalue()


def _served(data: bytes) -> str:
    """Start an HTTP server that serves only ``data``, and return its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/product.png"


def milliseconds(call: Callable[[], object]) -> float:
    call()
    durations = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        call()
        durations.append((time.thread_time() - started) * 1000)
    return statistics.median(durations)


def main() -> None:
    """Entry point of the child process.

    Prints one line of JSON: milliseconds of parsing and rendering by name.
    """
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from access.models import AccessKey, BusinessSource
    from jobs.models import Runner
    from models_registry.models import Family, Kind, ModelFile, StylePreset

    key, _secret = AccessKey.issue(BusinessSource.objects.create(name="bench"))
    file = ModelFile.objects.create(
        kind=Kind.CHECKPOINT,
        family=Family.SD15,
        name=CHECKPOINT,
        path="checkpoints/bench",
        sha256="0" * 64,
        is_default=True,
    )
    ModelFile.objects.create(
        kind=Kind.CONTROLNET,
        family=Family.SD15,
        name=CONTROLNET,
        path=f"controlnets/{CONTROLNET}",
        sha256="1" * 64,
    )
    StylePreset.objects.create(key="bench", task=StylePreset.Task.TXT2IMG, checkpoint=file)
    runner = Runner.objects.create(name="bench", url="http://127.0.0.1:9", slots=1)
    milliseconds_by_name = {}
    for case in dialect_cases(key):
        finished_job = _finished_job(case, runner)
        milliseconds_by_name[case.name] = [
            milliseconds(case.parse),
            milliseconds(lambda finished_job=finished_job, case=case: case.render(finished_job)),
        ]
    print(json.dumps(milliseconds_by_name))


def _finished_job(case: DialectCase, runner: Any) -> Any:
    """A finished job of this dialect, with one output."""
    from gpu_runner.protocol import Done
    from jobs.admission.admit import admit
    from jobs.execution import lifecycle
    from jobs.models import Job, Output

    job = admit(case.parse())
    lease = lifecycle.claim(job.pk, runner)
    assert lease is not None
    output = Output(
        job=job, index=0, file="x.png", sha256="0" * 64, size_bytes=1, width=256, height=256, seed=8
    )
    lifecycle.succeed(lease, Done(engine_seconds=1, device_seconds=1, steps_run=20), [output])
    return Job.objects.select_related("checkpoint", "source", "storage_target").get(pk=job.pk)


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "DATA_DIR": folder,
            "DATABASE_URL": f"sqlite:///{folder}/bench.sqlite3",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
            "SECRET_KEY": "bench",
            "RUNNER_TOKEN": "bench",
            "OUTBOUND_ALLOWED": "127.0.0.0/8",
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
