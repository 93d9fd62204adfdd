"""Resident memory of a web process that reads large, hostile and ordinary images for a long time.

``python -m bench memory`` sends 10,000 requests; ``python -m bench.memory N`` another number. The process must not grow
between the halves. Each sample is printed to stderr at once, so that an interrupted run has its figures too.
tests/config/test_memory.py is the short version.
"""

from __future__ import annotations

import base64
import io
import random
import sys
import tempfile
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
            sent = [(choice.choice(files), choice.randbytes(8)) for _ in range(part)]
            answered += sum(clients.map(lambda file: _send(installation.client, *file), sent))
            samples.append(_resident_mb(web))
            sent_so_far = (len(samples) - 1) * part
            print(f"{sent_so_far} images sent: {samples[-1]:.0f} MB", file=sys.stderr, flush=True)
    return samples, answered / (6 * SAMPLES_PER_HALF * part)


def _send(client: httpx.Client, file: bytes, end: bytes) -> int:
    """One route checks an image, one reads its metadata, one decodes it with a mask and admits a job, or is refused.

    ``end``: bytes after the file's end, by which it is checked and stored as another one. Returns the number of answers.
    """
    image = base64.b64encode(file + end).decode()
    detect = {"controlnet_module": "inpaint", "controlnet_input_images": [image], "controlnet_masks": [image]}
    requests: dict[str, dict[str, Any]] = {
        "/sdapi/v1/img2img": {"init_images": [image], "width": 64, "height": 64, "steps": 1},
        "/sdapi/v1/png-info": {"image": image},
        "/controlnet/detect": detect,
    }
    return sum(_is_answered(client, path, body) for path, body in requests.items())


def _is_answered(client: httpx.Client, path: str, body: dict[str, Any]) -> bool:
    """Wait for the answer as long as it takes. gunicorn may close a connection that was kept alive."""
    try:
        client.post(path, json=body, timeout=None)
    except httpx.TransportError as error:
        print(f"{path}: {error!r}", file=sys.stderr, flush=True)
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
