"""Generates the first image of `make run` through the A1111 API, with a progress bar."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from tqdm import tqdm

REQUEST = {
    "prompt": "a red circle on a blue background",
    "width": 512,
    "height": 512,
    "steps": 20,
    "cfg_scale": 7,
    "seed": 14,
}


class FirstImageError(Exception):
    """The image could not be generated. The message is shown to the user."""


def wait_until_healthy(base_url: str, still_running: Callable[[], bool], timeout_s: float = 120) -> None:
    """Wait until /healthz returns 200. Raises FirstImageError if the processes end or after ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not still_running():
            raise FirstImageError("the processes ended")
        try:
            if httpx.get(f"{base_url}/healthz", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise FirstImageError("the web server does not respond")


def generate(base_url: str, key_id: str, secret: str, path: Path, still_running: Callable[[], bool]) -> Path:
    """Generate the image of REQUEST and write it to ``path`` as PNG.

    Raises FirstImageError if the processes end or the request fails.
    """
    client = httpx.Client(base_url=base_url, auth=(key_id, secret), timeout=600)
    result: dict[str, httpx.Response] = {}

    def send() -> None:
        result["response"] = client.post("/sdapi/v1/txt2img", json=REQUEST)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    with tqdm(total=100, desc="first image", bar_format="{desc} |{bar}| {n:.0f}%", leave=True) as bar:
        while sender.is_alive():
            sender.join(0.15)
            if not still_running():
                raise FirstImageError("the processes ended")
            progress = client.get("/sdapi/v1/progress?skip_current_image=true").json().get("progress", 0)
            bar.update(max(0, progress * 100 - bar.n))
        bar.update(100 - bar.n)
    response = result.get("response")
    if response is None:
        raise FirstImageError("the connection was lost")
    if response.status_code != 200:
        raise FirstImageError(f"HTTP {response.status_code}: {response.text[:300]}")
    path.write_bytes(base64.b64decode(response.json()["images"][0]))
    return path
