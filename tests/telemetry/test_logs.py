import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_runner import logs

ROOT = Path(__file__).resolve().parents[2]
ORDER = "0b2ab0c0-3f3a-4a2e-9d55-1d1b6f3a7d01-2"


@pytest.fixture
def written():
    """``written("json", "a %s", "message")``: the line that a log call becomes."""

    def written(log_format: str, message: str, *args: object, **how: object) -> str:
        formatter = {"json": logs.JsonLineFormatter(), "line": logs.LineFormatter(logs.LINE)}[log_format]
        record = logging.getLogger("jobs").makeRecord(
            "jobs", logging.INFO, "x.py", 1, message, args, how.pop("exc_info", None), extra=how
        )
        logs.ContextFilter().filter(record)
        return formatter.format(record)

    return written


@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_line_names_the_job_it_speaks_of(written, log_format):
    with logs.about(ORDER):
        line = written(log_format, "attempt %d begins", 2)
    assert ORDER[:36] in line
    assert ORDER not in line
    assert "attempt 2 begins" in line


def test_json_line_is_one_object(written):
    with logs.about(ORDER):
        told = json.loads(written("json", "two\nlines 画"))
    assert told["message"] == "two\nlines 画"
    assert (told["level"], told["logger"], told["job_id"]) == ("INFO", "jobs", ORDER[:36])
    assert "request_id" not in told


def test_what_is_known_beside_the_message_is_there_by_name(written):
    assert json.loads(written("json", "done", status=200))["status"] == 200


def test_outside_of_a_job_there_is_none(written):
    logs.job.set("")
    with logs.about(ORDER):
        pass
    assert "job_id" not in json.loads(written("json", "idle"))


@pytest.mark.parametrize("log_format", logs.FORMATS)
@pytest.mark.parametrize(
    "message",
    [
        "GET /api/v3/x?key=hunter2abc&y=1",
        'asked "https://x/y?a=1&api_key=hunter2abc"',
        "X?X-Amz-Signature=hunter2abc",
        "Authorization: Basic hunter2abc==",
        "bearer token: Bearer hunter2abc",
    ],
)
def test_no_secret_of_a_url_or_a_header_is_written(written, log_format, message):
    line = written(log_format, message)
    assert "hunter2abc" not in line
    if log_format == "json":
        json.loads(line)


def test_no_secret_in_a_traceback_is_written(written):
    try:
        raise ValueError("https://x/?key=hunter2abc")
    except ValueError:
        assert "hunter2abc" not in written("json", "broken", exc_info=sys.exc_info())


def test_runner_writes_json_too():
    code = (
        "from gpu_runner import logs; import logging; logs.configure('json', 'INFO')\n"
        f"with logs.about('{ORDER}'): logging.getLogger('engine').info('order taken')"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(told.stderr)["job_id"] == ORDER[:36]
