"""The first picture, asked for through the public API as any client would, with a progress bar."""

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


class NoPicture(Exception):
    """Why there is none, for people."""


def wait_until_healthy(base_url: str, still_running: Callable[[], bool], patience_s: float = 120) -> None:
    """Return when /healthz answers 200; NoPicture when the processes end or patience does."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if not still_running():
            raise NoPicture("the processes ended")
        try:
            if httpx.get(f"{base_url}/healthz", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise NoPicture("the web server does not answer")


def draw(base_url: str, key_id: str, secret: str, path: Path, still_running: Callable[[], bool]) -> Path:
    """Draw REQUEST and write it to ``path``; NoPicture when the processes end."""
    client = httpx.Client(base_url=base_url, auth=(key_id, secret), timeout=600)
    answer: dict[str, httpx.Response] = {}

    def ask() -> None:
        answer["response"] = client.post("/sdapi/v1/txt2img", json=REQUEST)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    with tqdm(total=100, desc="first picture", bar_format="{desc} |{bar}| {n:.0f}%", leave=True) as bar:
        while asking.is_alive():
            asking.join(0.15)
            if not still_running():
                raise NoPicture("the processes ended")
            progress = client.get("/sdapi/v1/progress?skip_current_image=true").json().get("progress", 0)
            bar.update(max(0, progress * 100 - bar.n))
        bar.update(100 - bar.n)
    response = answer.get("response")
    if response is None:
        raise NoPicture("the connection broke")
    if response.status_code != 200:
        raise NoPicture(f"HTTP {response.status_code}: {response.text[:300]}")
    path.write_bytes(base64.b64decode(response.json()["images"][0]))
    return path
