"""Log formats of platform and runner."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_runner import logs

ROOT = Path(__file__).resolve().parents[2]
JOB_ATTEMPT = "0b2ab0c0-3f3a-4a2e-9d55-1d1b6f3a7d01-2"


@pytest.fixture
def written():
    """``written("json", "a %s", "message")``: the line that a log call becomes."""

    def written(log_format: str, message: str, *args: object, **extra: object) -> str:
        formatter = {"json": logs.JsonLineFormatter(), "line": logs.LineFormatter(logs.LINE)}[log_format]
        record = logging.getLogger("jobs").makeRecord(
            "jobs", logging.INFO, "x.py", 1, message, args, extra.pop("exc_info", None), extra=extra
        )
        logs.ContextFilter().filter(record)
        return formatter.format(record)

    return written


@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_line_has_the_job_id(written, log_format):
    with logs.about(JOB_ATTEMPT):
        line = written(log_format, "attempt %d started", 2)
    assert JOB_ATTEMPT[:36] in line
    assert JOB_ATTEMPT not in line
    assert "attempt 2 started" in line


def test_json_line_is_one_object(written):
    with logs.about(JOB_ATTEMPT):
        content = json.loads(written("json", "two\nlines 画"))
    assert content["message"] == "two\nlines 画"
    assert (content["level"], content["logger"], content["job_id"]) == ("INFO", "jobs", JOB_ATTEMPT[:36])
    assert "request_id" not in content


def test_extra_values_are_json_fields(written):
    assert json.loads(written("json", "done", status=200))["status"] == 200


def test_line_outside_of_a_job_has_no_job_id(written):
    logs.job.set("")
    with logs.about(JOB_ATTEMPT):
        pass
    assert "job_id" not in json.loads(written("json", "idle"))


@pytest.mark.parametrize("log_format", logs.FORMATS)
@pytest.mark.parametrize(
    "message",
    [
        "GET /api/v3/x?key=hunter2abc&y=1",
        'requested "https://x/y?a=1&api_key=hunter2abc"',
        "X?X-Amz-Signature=hunter2abc",
        "Authorization: Basic hunter2abc==",
        "bearer token: Bearer hunter2abc",
    ],
)
def test_secrets_in_urls_and_headers_are_masked(written, log_format, message):
    line = written(log_format, message)
    assert "hunter2abc" not in line
    if log_format == "json":
        json.loads(line)


def test_secrets_in_tracebacks_are_masked(written):
    try:
        raise ValueError("https://x/?key=hunter2abc")
    except ValueError:
        assert "hunter2abc" not in written("json", "broken", exc_info=sys.exc_info())


@pytest.mark.slow
def test_runner_writes_json():
    code = (
        "from gpu_runner import logs; import logging; logs.configure('json', 'INFO')\n"
        f"with logs.about('{JOB_ATTEMPT}'): logging.getLogger('engine').info('job accepted')"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(process.stderr)["job_id"] == JOB_ATTEMPT[:36]
