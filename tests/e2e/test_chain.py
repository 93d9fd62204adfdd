"""A request's whole way: HTTP, admission, table, policy, worker, runner, storage; and what kills do to it."""

from __future__ import annotations

import base64
import io
import socket
import threading
from contextlib import suppress
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from tests.e2e.installation import Installation, eventually
from tests.support.judge import judge

pytestmark = [pytest.mark.processes, pytest.mark.demo]

QUICK = {"prompt": "a red circle on a blue background", "width": 256, "height": 256, "steps": 20, "seed": 8}
LONG = {**QUICK, "steps": 60, "batch_size": 4}
ENDED_WELL = {"postings": ["release", "reserve", "settle"], "state": "succeeded"}


def picture_of(body: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(body["images"][0])))


class Asking(threading.Thread):
    """A client that waits for its pictures; ``answer`` is None where it never got one."""

    def __init__(self, installation: Installation, request: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._installation, self._request = installation, request
        self.answer: httpx.Response | None = None

    def run(self) -> None:
        with suppress(httpx.HTTPError):
            self.answer = self._installation.client.post("/sdapi/v1/txt2img", json=self._request)


def ask_in_background(installation: Installation, task_id: str, request: dict[str, Any]) -> Asking:
    asking = Asking(installation, {**request, "force_task_id": task_id})
    asking.start()
    return asking


def ask_on_a_socket(installation: Installation, task_id: str, request: dict[str, Any]) -> socket.socket:
    """For a client that does not stay for the answer: closing the socket hangs up."""
    asked = httpx.Request(
        "POST", f"{installation.base_url}/sdapi/v1/txt2img", json={**request, "force_task_id": task_id}
    )
    key = f"{installation.credentials['key_id']}:{installation.credentials['secret']}"
    asked.headers["Authorization"] = f"Basic {base64.b64encode(key.encode()).decode()}"
    lines = [f"{name}: {value}\r\n" for name, value in asked.headers.items()]
    head = f"POST {asked.url.path} HTTP/1.1\r\n{''.join(lines)}\r\n"
    line = socket.create_connection(("127.0.0.1", installation.port))
    line.sendall(head.encode() + asked.content)
    return line


def web_processes(installation: Installation) -> set[int]:
    return {worker.pid for worker in psutil.Process(installation.processes["web"].pid).children()}


def running(installation: Installation, task_id: str) -> str:
    def has_steps() -> str | None:
        job = installation.job(task_id)
        assert job is None or job["state"] in ("queued", "running"), job
        return job["id"] if job and job["state"] == "running" and job["step"] > 0 else None

    return eventually(has_steps, f"{task_id} runs")


def ended(installation: Installation, task_id: str) -> dict[str, Any]:
    def terminal() -> dict[str, Any] | None:
        job = installation.job(task_id)
        return job if job and job["state"] not in ("queued", "running") else None

    return eventually(terminal, f"{task_id} ends")


def assert_ended_once(installation: Installation, task_id: str, pictures: int) -> None:
    job = ended(installation, task_id)
    assert {key: job[key] for key in ENDED_WELL} == ENDED_WELL, job["timeline"]
    assert job["outputs"] == pictures


def test_a_prompt_becomes_its_picture(installation: Installation) -> None:
    answer = installation.client.post("/sdapi/v1/txt2img", json=QUICK)
    assert answer.status_code == 200, answer.text
    picture = picture_of(answer.json())
    verdict = judge(picture)
    assert (verdict.shape, verdict.colour, verdict.background) == ("circle", "red", "blue")
    assert picture.info["parameters"].startswith(QUICK["prompt"])


def test_the_same_seed_draws_the_same_picture(installation: Installation) -> None:
    first, second = (installation.client.post("/sdapi/v1/txt2img", json=QUICK).json() for _ in range(2))
    assert picture_of(first).tobytes() == picture_of(second).tobytes()


def test_killed_runner_puts_the_job_back_and_it_is_drawn_once(installation: Installation) -> None:
    ask_in_background(installation, "runner-dies", LONG)
    running(installation, "runner-dies")
    installation.kill("runner")
    installation.start("runner")
    assert_ended_once(installation, "runner-dies", pictures=4)
    assert installation.job("runner-dies")["deaths"] == 1


def test_killed_generation_cluster_puts_the_job_back_and_it_is_drawn_once(installation: Installation) -> None:
    ask_in_background(installation, "worker-dies", LONG)
    running(installation, "worker-dies")
    installation.kill("generation")
    installation.start("generation")
    assert_ended_once(installation, "worker-dies", pictures=4)


def test_killed_web_process_loses_no_job(installation: Installation) -> None:
    ask_in_background(installation, "web-dies", LONG)
    job_id = running(installation, "web-dies")
    installation.kill("web")
    installation.start("web")
    assert_ended_once(installation, "web-dies", pictures=4)
    found = installation.client.get(f"/sdapi/v1/jobs/{job_id}")
    assert found.status_code == 200
    assert len(found.json()["images"]) == 4


def test_a_client_that_hangs_up_finds_its_pictures_later(installation: Installation) -> None:
    serving = web_processes(installation)
    line = ask_on_a_socket(installation, "hung-up", LONG)
    job_id = running(installation, "hung-up")
    line.close()
    assert_ended_once(installation, "hung-up", pictures=4)
    found = installation.client.get(f"/sdapi/v1/jobs/{job_id}").json()["images"]
    asked_again = installation.client.post("/sdapi/v1/txt2img", json={**LONG, "force_task_id": "hung-up"})
    assert asked_again.headers["X-Job-Id"] == job_id
    assert asked_again.json()["images"] == found
    assert judge(picture_of(asked_again.json())).shape == "circle"
    assert web_processes(installation) == serving


def test_interrupted_job_answers_with_what_there_is(installation: Installation) -> None:
    asking = ask_in_background(installation, "interrupted", LONG)
    running(installation, "interrupted")
    assert installation.client.post("/sdapi/v1/interrupt").json() == {}
    asking.join()
    assert asking.answer is not None
    assert asking.answer.status_code == 200, asking.answer.text
    told = asking.answer.json()
    pictures = {Image.open(io.BytesIO(base64.b64decode(data))).size for data in told["images"]}
    assert pictures == {(LONG["width"], LONG["height"])}
    assert_ended_once(installation, "interrupted", pictures=len(told["images"]))
    job = installation.job("interrupted")
    assert job["interrupted"]
    assert job["step"] < LONG["steps"] * 4


def test_job_waits_for_a_runner_and_its_result_is_found_later(installation: Installation) -> None:
    installation.kill("runner")
    installation.kill("web")
    patient, installation.environment["JOB_WAIT_S"] = installation.environment.get("JOB_WAIT_S", "300"), "2"
    installation.start("web")
    answer = installation.client.post("/sdapi/v1/txt2img", json={**QUICK, "force_task_id": "nobody-home"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    job_id = answer.headers["X-Job-Id"]
    assert installation.job("nobody-home")["state"] == "queued"

    installation.environment["JOB_WAIT_S"] = patient
    installation.start("runner")
    assert_ended_once(installation, "nobody-home", pictures=1)
    assert judge(picture_of(installation.client.get(f"/sdapi/v1/jobs/{job_id}").json())).shape == "circle"


def test_queued_job_is_cancelled_and_releases_its_reservation(installation: Installation) -> None:
    installation.kill("runner")
    ask_in_background(installation, "cancelled", QUICK)
    eventually(lambda: installation.job("cancelled"), "the job is admitted")
    installation.client.post("/sdapi/v1/interrupt")
    job = ended(installation, "cancelled")
    assert (job["state"], job["postings"]) == ("cancelled", ["release", "reserve"])
    installation.start("runner")
