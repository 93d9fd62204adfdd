"""`make run` on a new checkout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.installation import ROOT, eventually, free_port

pytestmark = [pytest.mark.processes, pytest.mark.demo]


def make_run(data_dir: Path, port: int, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["make", "run", f"PYTHON={sys.executable}"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(data_dir), "PORT": str(port), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def read_until_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("READY "):
            return "".join(lines)
    raise AssertionError("never READY:\n" + "".join(lines))


def remaining_processes(data_dir: Path) -> list[psutil.Process]:
    """Processes that were started for this DATA_DIR."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.environ().get("DATA_DIR") == str(data_dir)
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def running(data_dir: Path, port: int) -> Iterator[str]:
    process = make_run(data_dir, port)
    try:
        yield read_until_ready(process)
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        process.communicate()


def check_streamed_and_long_requests(credentials: dict[str, str]) -> None:
    """Requests with chunked bodies and long query strings, which only the real web server handles."""
    key = {
        "Authorization": f"Bearer {credentials['key_id']}:{credentials['secret']}",
        "Content-Type": "application/json",
    }
    chunks = iter([b'{"prompt": "a red ', b'circle"}'])
    quote = httpx.post(f"{credentials['base_url']}/api/v1/quote", content=chunks, headers=key)
    assert quote.json()["accepted"] is True
    params = {"prompt": "猫" * 800, "key": "unknown"}
    body = httpx.post(f"{credentials['base_url']}/api/v3/text2img", params=params).json()
    assert body["message"] == "Invalid Api Key"


def test_first_image_is_generated_and_ctrl_c_ends_all_processes(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, port) as output:
        credentials = json.loads((tmp_path / "demo.json").read_text())
        assert set(credentials) == {"base_url", "key_id", "secret", "source", "admin_user", "admin_password"}
        assert output.splitlines()[-1] == f"READY {credentials['base_url']}"
        for shown in (
            str(tmp_path / "first-picture.png"),
            credentials["admin_password"],
            credentials["secret"],
            "curl ",
        ):
            assert shown in output
        assert httpx.get(f"{credentials['base_url']}/healthz").status_code == 200
        assert (tmp_path / "first-picture.png").stat().st_size > 0
        check_streamed_and_long_requests(credentials)

        refused = make_run(tmp_path, free_port()).communicate()[0]
        assert f"in use by the `make run` on port {port}" in refused
        assert "Traceback" not in refused

        refused = make_run(tmp_path / "other", port).communicate()[0]
        assert f"port {port} is in use" in refused
        assert "Traceback" not in refused
    eventually(lambda: not remaining_processes(tmp_path), "every process has ended")

    with running(tmp_path, port):
        assert json.loads((tmp_path / "demo.json").read_text()) == credentials
        login = (credentials["key_id"], credentials["secret"])
        assert httpx.get(f"{credentials['base_url']}/sdapi/v1/samplers", auth=login).status_code == 200
    eventually(lambda: not remaining_processes(tmp_path), "every process has ended")


@pytest.mark.parametrize("port", ["0", "70000", "http"])
def test_invalid_port_is_refused_in_one_line(tmp_path: Path, port: str) -> None:
    output = make_run(tmp_path, 1, PORT=port).communicate()[0]
    assert [line for line in output.splitlines() if line.startswith("atelier: ")] == [
        f"atelier: PORT must be a number from 1 to 65535 (got {port!r})"
    ]


def test_unwritable_data_dir_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    output = make_run(tmp_path / "file" / "below", free_port()).communicate()[0]
    assert "atelier: cannot write to DATA_DIR" in output
    assert "Traceback" not in output
