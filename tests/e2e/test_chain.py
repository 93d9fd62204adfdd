"""Requests through all processes: HTTP, admission, scheduling, worker, runner, storage; and killed processes."""

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


def image_of(body: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(body["images"][0])))


class BackgroundRequest(threading.Thread):
    """A client thread that sends a request. ``response`` stays None if the connection breaks."""

    def __init__(self, installation: Installation, request: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._installation, self._request = installation, request
        self.response: httpx.Response | None = None

    def run(self) -> None:
        with suppress(httpx.HTTPError):
            self.response = self._installation.client.post("/sdapi/v1/txt2img", json=self._request)


def send_in_background(
    installation: Installation, task_id: str, request: dict[str, Any]
) -> BackgroundRequest:
    request_thread = BackgroundRequest(installation, {**request, "force_task_id": task_id})
    request_thread.start()
    return request_thread


def send_on_a_socket(installation: Installation, task_id: str, request: dict[str, Any]) -> socket.socket:
    """Send a request without reading the response; closing the socket disconnects."""
    http_request = httpx.Request(
        "POST", f"{installation.base_url}/sdapi/v1/txt2img", json={**request, "force_task_id": task_id}
    )
    key = f"{installation.credentials['key_id']}:{installation.credentials['secret']}"
    http_request.headers["Authorization"] = f"Basic {base64.b64encode(key.encode()).decode()}"
    lines = [f"{name}: {value}\r\n" for name, value in http_request.headers.items()]
    head = f"POST {http_request.url.path} HTTP/1.1\r\n{''.join(lines)}\r\n"
    connection = socket.create_connection(("127.0.0.1", installation.port))
    connection.sendall(head.encode() + http_request.content)
    return connection


def web_workers(installation: Installation) -> set[int]:
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


def assert_ended_once(installation: Installation, task_id: str, outputs: int) -> None:
    job = ended(installation, task_id)
    assert {key: job[key] for key in ENDED_WELL} == ENDED_WELL, job["timeline"]
    assert job["outputs"] == outputs


def test_txt2img_generates_the_image_of_the_prompt(installation: Installation) -> None:
    response = installation.client.post("/sdapi/v1/txt2img", json=QUICK)
    assert response.status_code == 200, response.text
    image = image_of(response.json())
    verdict = judge(image)
    assert (verdict.shape, verdict.color, verdict.background) == ("circle", "red", "blue")
    assert image.info["parameters"].startswith(QUICK["prompt"])


def test_the_same_seed_generates_the_same_image(installation: Installation) -> None:
    first, second = (installation.client.post("/sdapi/v1/txt2img", json=QUICK).json() for _ in range(2))
    assert image_of(first).tobytes() == image_of(second).tobytes()


def test_job_of_a_killed_runner_is_requeued_and_delivered_once(installation: Installation) -> None:
    send_in_background(installation, "runner-dies", LONG)
    running(installation, "runner-dies")
    installation.kill("runner")
    installation.start("runner")
    assert_ended_once(installation, "runner-dies", outputs=4)
    assert installation.job("runner-dies")["deaths"] == 1


def test_job_of_a_killed_generation_cluster_is_requeued_and_delivered_once(
    installation: Installation,
) -> None:
    send_in_background(installation, "worker-dies", LONG)
    running(installation, "worker-dies")
    installation.kill("generation")
    installation.start("generation")
    assert_ended_once(installation, "worker-dies", outputs=4)


def test_job_survives_a_killed_web_process(installation: Installation) -> None:
    send_in_background(installation, "web-dies", LONG)
    job_id = running(installation, "web-dies")
    installation.kill("web")
    installation.start("web")
    assert_ended_once(installation, "web-dies", outputs=4)
    found = installation.client.get(f"/sdapi/v1/jobs/{job_id}")
    assert found.status_code == 200
    assert len(found.json()["images"]) == 4


def test_a_client_that_disconnects_can_read_its_outputs_later(installation: Installation) -> None:
    workers = web_workers(installation)
    connection = send_on_a_socket(installation, "disconnected", LONG)
    job_id = running(installation, "disconnected")
    connection.close()
    assert_ended_once(installation, "disconnected", outputs=4)
    found = installation.client.get(f"/sdapi/v1/jobs/{job_id}").json()["images"]
    repeated = installation.client.post("/sdapi/v1/txt2img", json={**LONG, "force_task_id": "disconnected"})
    assert repeated.headers["X-Job-Id"] == job_id
    assert repeated.json()["images"] == found
    assert judge(image_of(repeated.json())).shape == "circle"
    assert web_workers(installation) == workers


def test_interrupted_job_returns_its_finished_images(installation: Installation) -> None:
    request_thread = send_in_background(installation, "interrupted", LONG)
    running(installation, "interrupted")
    assert installation.client.post("/sdapi/v1/interrupt").json() == {}
    request_thread.join()
    assert request_thread.response is not None
    assert request_thread.response.status_code == 200, request_thread.response.text
    body = request_thread.response.json()
    outputs = {Image.open(io.BytesIO(base64.b64decode(data))).size for data in body["images"]}
    assert outputs == {(LONG["width"], LONG["height"])}
    assert_ended_once(installation, "interrupted", outputs=len(body["images"]))
    job = installation.job("interrupted")
    assert job["interrupted"]
    assert job["step"] < LONG["steps"] * 4


def test_job_without_a_runner_is_queued_and_its_result_can_be_read_later(installation: Installation) -> None:
    installation.kill("runner")
    installation.kill("web")
    default_wait, installation.environment["JOB_WAIT_S"] = (
        installation.environment.get("JOB_WAIT_S", "300"),
        "2",
    )
    installation.start("web")
    response = installation.client.post("/sdapi/v1/txt2img", json={**QUICK, "force_task_id": "no-runner"})
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    job_id = response.headers["X-Job-Id"]
    assert installation.job("no-runner")["state"] == "queued"

    installation.environment["JOB_WAIT_S"] = default_wait
    installation.start("runner")
    assert_ended_once(installation, "no-runner", outputs=1)
    assert judge(image_of(installation.client.get(f"/sdapi/v1/jobs/{job_id}").json())).shape == "circle"


def test_queued_job_is_cancelled_and_releases_its_reservation(installation: Installation) -> None:
    installation.kill("runner")
    send_in_background(installation, "cancelled", QUICK)
    eventually(lambda: installation.job("cancelled"), "the job is admitted")
    installation.client.post("/sdapi/v1/interrupt")
    job = ended(installation, "cancelled")
    assert (job["state"], job["postings"]) == ("cancelled", ["release", "reserve"])
    installation.start("runner")
