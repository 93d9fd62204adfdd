"""Resident memory of a web process that reads large, hostile and ordinary images for a long time.

"In flight" is the highest of all moments, with CLIENTS requests at work; the other figures are read when all are answered.

``python -m bench memory`` sends 10,000 requests; ``python -m bench.memory N`` another number. A request goes to a route that
checks an image, to one that reads its metadata, or to one that decodes it with a mask and admits a job. The process must not grow
between the halves. Each sample is printed to stderr at once, so that an interrupted run has its figures too.
tests/config/test_memory.py is the short version.
"""

from __future__ import annotations

import base64
import io
import random
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
from PIL import Image

from bench.report import Row, table
from tests.e2e.installation import Installation
from tests.support.input_images import UNUSABLE, file_of, photo

REQUESTS = 10_000
CLIENTS = 32
SAMPLES_PER_HALF = 10
GOAL_RATIO = 1.15


def measure(requests: int = REQUESTS) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        installation = Installation(data_dir, f"sqlite:///{data_dir}/db.sqlite3", JOB_WAIT_S="0")
        installation.start("web")
        try:
            with _Highest(psutil.Process(installation.processes["web"].pid)) as in_flight:
                samples, answered = _soak(installation, requests)
        finally:
            installation.stop()
    half = len(samples) // 2
    first, second = max(samples[1:half]), max(samples[half:])
    return [
        Row("web processes before", samples[0], "MB"),
        Row("first half, highest", first, "MB"),
        Row("second half, highest", second, "MB"),
        Row("second half / first half", second / first, "", f"<= {GOAL_RATIO}"),
        Row("in flight, highest", in_flight.mb, "MB"),
        Row("answered requests", answered, "", ">= 0.999"),
    ]


def _soak(installation: Installation, requests: int) -> tuple[list[float], float]:
    """Resident memory before, and after each part of the requests, in MB; and the share of answered requests."""
    web = psutil.Process(installation.processes["web"].pid)
    files, choice = _files(), random.Random(8)
    samples, answered = [_resident_mb(web)], 0
    part = max(1, requests // (2 * SAMPLES_PER_HALF))
    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in range(2 * SAMPLES_PER_HALF):
            sent = [_request(choice, files) for _ in range(part)]
            answered += sum(clients.map(lambda request: _is_answered(installation.client, *request), sent))
            samples.append(_resident_mb(web))
            sent_so_far = (len(samples) - 1) * part
            print(f"{sent_so_far} images sent: {samples[-1]:.0f} MB", file=sys.stderr, flush=True)
    return samples, answered / (2 * SAMPLES_PER_HALF * part)


def _request(choice: random.Random, files: list[bytes]) -> tuple[str, bytes, bytes]:
    """Route, file, and bytes after the file's end, by which it is checked and stored as another one."""
    route = choice.choices(list(BODIES), weights=[5, 4, 1])[0]
    return route, choice.choice(files), choice.randbytes(8)


BODIES: dict[str, Callable[[str], dict[str, Any]]] = {
    "/sdapi/v1/img2img": lambda image: {"init_images": [image], "width": 64, "height": 64, "steps": 1},
    "/sdapi/v1/png-info": lambda image: {"image": image},
    "/controlnet/detect": lambda image: {
        "controlnet_module": "inpaint",
        "controlnet_input_images": [image],
        "controlnet_masks": [image],
    },
}


class _Highest:
    """The highest resident memory of a process and its children while the ``with`` block runs, sampled in a thread."""

    def __init__(self, web: psutil.Process) -> None:
        self.mb = 0.0
        self._web = web
        self._stop = threading.Event()
        self._sampling = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _Highest:
        self._sampling.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._sampling.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.05):
            self.mb = max(self.mb, _resident_mb(self._web))


def _is_answered(client: httpx.Client, route: str, file: bytes, end: bytes) -> bool:
    """Wait for the answer as long as it takes. gunicorn may close a connection that was kept alive."""
    try:
        client.post(route, json=BODIES[route](base64.b64encode(file + end).decode()), timeout=None)
    except httpx.TransportError as error:
        print(f"{route}: {error!r}", file=sys.stderr, flush=True)
        return False
    return True


def _files() -> list[bytes]:
    noise = Image.effect_noise((3000, 2000), 50)
    files = [file_of(noise.resize((side, side)), "JPEG") for side in (500, 900, 1700, 2600)]
    files += [photo(4000, 3000), file_of(Image.new("RGB", (5000, 5000), "red")), _truncated(noise)]
    files += [data for data, _reason in UNUSABLE.values()]
    return files


def _truncated(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()[: file.tell() // 2]


def _resident_mb(web: psutil.Process) -> float:
    return sum(process.memory_info().rss for process in [web, *web.children(recursive=True)]) / 2**20


if __name__ == "__main__":
    print(table(measure(int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS)))
