"""Generates the first image of `make run` as a job of the native API, with a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

REQUEST = {
    "prompt": "a red circle on a blue background",
    "width": 512,
    "height": 512,
    "num_inference_steps": 20,
    "guidance_scale": 7,
    "seed": 14,
    "lane": "interactive",
}
ENDED = frozenset({"succeeded", "failed", "cancelled", "expired"})
STALLED_S = 900.0  # without progress; a slow CPU may load models for minutes
POLL_S = 0.3
PRINTED_STEP = 25  # percent between two lines where there is no terminal


class NotStarted(Exception):
    """The platform does not run. The message is shown to the user."""


class NoFirstImage(Exception):
    """There is no first image, but the platform runs. The message is shown to the user."""


def wait_until_healthy(base_url: str, still_running: Callable[[], bool], timeout_s: float = 600) -> None:
    """Wait until /healthz returns 200. Raises NotStarted if the processes end or after ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not still_running():
            raise NotStarted("the processes ended")
        try:
            if httpx.get(f"{base_url}/healthz", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise NotStarted("the web server does not respond")


def generate(
    client: httpx.Client,
    path: Path,
    still_running: Callable[[], bool],
    stalled_s: float = STALLED_S,
) -> Path:
    """Generate the image of REQUEST and write it to ``path`` as PNG. ``client`` has the base URL and a key.

    Waits as long as the job progresses. Raises NotStarted if the processes end; NoFirstImage if the request is
    refused, the job fails, or nothing changes for ``stalled_s`` seconds.
    """
    job = _json(client.post("/api/v1/jobs", json=REQUEST))
    changed, seen = time.monotonic(), _position(job)
    with _progress_bar() as bar:
        printed = 0
        while job["state"] not in ENDED:
            if not still_running():
                raise NotStarted("the processes ended")
            if time.monotonic() - changed > stalled_s:
                raise NoFirstImage(f"the job {job['id']} is {job['state']} and makes no progress")
            time.sleep(POLL_S)
            job = _polled(client, job)
            bar.update(max(0, job["progress"] * 100 - bar.n))
            if bar.disable:
                printed = _print_step(job["progress"] * 100, printed)
            if (position := _position(job)) != seen:
                changed, seen = time.monotonic(), position
    if job["state"] != "succeeded":
        raise NoFirstImage(f"the job {job['id']} is {job['state']}: {_reason(job)}")
    path.write_bytes(_checked(client.get(job["outputs"][0]["url"])).content)
    return path


def _progress_bar() -> tqdm:
    """A bar that redraws its line; disabled where the output is a file or a pipe, which would keep every line."""
    bar_format = "{desc} |{bar}| {n:.0f}%"
    return tqdm(total=100, desc="first image", bar_format=bar_format, disable=not sys.stderr.isatty())


def _print_step(percent: float, printed: int) -> int:
    """Print the progress if it has passed another step. Returns the step printed last."""
    step = int(percent) // PRINTED_STEP * PRINTED_STEP
    if step > printed:
        print(f"first image {step}%", file=sys.stderr, flush=True)
    return max(step, printed)


def _polled(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """The job as it is now; as it was, while the web server does not answer."""
    try:
        response = client.get(f"/api/v1/jobs/{job['id']}")
    except httpx.HTTPError:
        return job
    return job if response.status_code >= 500 or response.status_code == 429 else _json(response)


def _position(job: dict[str, Any]) -> tuple[Any, ...]:
    """What changes while a job progresses: its state, its steps, and its place in the queue."""
    queue = job.get("queue") or {}
    return job["state"], job["progress"], queue.get("reason"), queue.get("ahead")


def _json(response: httpx.Response) -> dict[str, Any]:
    return _checked(response).json()


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        raise NoFirstImage(f"HTTP {response.status_code}: {response.text[:300]}")
    return response


def _reason(job: dict[str, Any]) -> str:
    return (job.get("error") or {}).get("message", "no reason was recorded")
