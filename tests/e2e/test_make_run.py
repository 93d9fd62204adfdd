"""`make run`: first start, restart, and error messages."""

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

from tests.e2e.installation import ROOT, eventually
from tests.support.ports import free_port

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


def left_behind(data_dir: Path) -> list[psutil.Process]:
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


def streamed_and_long_requests_are_read(credentials: dict[str, str]) -> None:
    """Request bodies that only the real web server parses."""
    key = {
        "Authorization": f"Bearer {credentials['key_id']}:{credentials['secret']}",
        "Content-Type": "application/json",
    }
    chunks = iter([b'{"prompt": "a red ', b'circle"}'])
    quote = httpx.post(f"{credentials['base_url']}/api/v1/quote", content=chunks, headers=key)
    assert quote.json()["accepted"] is True
    parameters = {"prompt": "猫" * 800, "key": "unknown"}
    response = httpx.post(f"{credentials['base_url']}/api/v3/text2img", params=parameters).json()
    assert response["message"] == "Invalid Api Key"


def test_make_run_generates_an_image_and_ctrl_c_ends_every_process(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, port) as printed:
        credentials = json.loads((tmp_path / "demo.json").read_text())
        assert set(credentials) == {"base_url", "key_id", "secret", "source", "admin_user", "admin_password"}
        assert printed.splitlines()[-1] == f"READY {credentials['base_url']}"
        for expected in (
            str(tmp_path / "first-picture.png"),
            credentials["admin_password"],
            credentials["secret"],
            "curl ",
        ):
            assert expected in printed
        assert httpx.get(f"{credentials['base_url']}/healthz").status_code == 200
        assert (tmp_path / "first-picture.png").stat().st_size > 0
        streamed_and_long_requests_are_read(credentials)

        refused = make_run(tmp_path, free_port()).communicate()[0]
        assert f"in use by the `make run` on port {port}" in refused
        assert "Traceback" not in refused

        refused = make_run(tmp_path / "other", port).communicate()[0]
        assert f"port {port} is in use" in refused
        assert "Traceback" not in refused
    eventually(lambda: not left_behind(tmp_path), "every process has ended")

    with running(tmp_path, port):
        assert json.loads((tmp_path / "demo.json").read_text()) == credentials
        login = (credentials["key_id"], credentials["secret"])
        assert httpx.get(f"{credentials['base_url']}/sdapi/v1/samplers", auth=login).status_code == 200
    eventually(lambda: not left_behind(tmp_path), "every process has ended")


@pytest.mark.parametrize("port", ["0", "70000", "http"])
def test_an_invalid_port_is_rejected_in_one_line(tmp_path: Path, port: str) -> None:
    printed = make_run(tmp_path, 1, PORT=port).communicate()[0]
    assert [line for line in printed.splitlines() if line.startswith("atelier: ")] == [
        f"atelier: PORT must be a number from 1 to 65535 (got {port!r})"
    ]


def test_an_unwritable_data_dir_is_rejected_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    printed = make_run(tmp_path / "file" / "below", free_port()).communicate()[0]
    assert "atelier: cannot write to DATA_DIR" in printed
    assert "Traceback" not in printed
