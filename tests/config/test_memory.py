"""Memory that a process keeps after it has read large images in many threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ALLOWED_MB = 64
# Each thread decodes images of all sizes, so that freed blocks of one size do not fit the next image.
READ_IMAGES = """
import base64, io, json, random, resource, sys
from concurrent.futures import ThreadPoolExecutor
import django
django.setup()
from PIL import Image
from jobs.images.input_files import check_image, open_image

def resident_mb():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * resource.getpagesize() / 2**20

def encoded(side):
    file = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(file, "BMP")
    return base64.b64encode(file.getvalue()).decode()

def read(body):
    data = base64.b64decode(json.loads(body)["image"])
    check_image(data)
    open_image(data).resize((64, 64))

bodies = [json.dumps({"image": encoded(side)}) for side in range(500, 2000, 100)]
choose = random.Random(1).choice
first, *halves = resident_mb(), [], []
with ThreadPoolExecutor(16) as pool:
    for half in halves:
        for _ in range(3):
            list(pool.map(read, [choose(bodies) for _ in range(48)]))
            half.append(resident_mb())
print(json.dumps([first, *map(max, halves)]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, and malloc is that of glibc")
def test_large_images_leave_no_memory_behind():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment |= {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    done = subprocess.run(
        [sys.executable, "-c", READ_IMAGES], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    start, first_half, second_half = json.loads(done.stdout)
    assert first_half - start < ALLOWED_MB
    assert second_half - first_half < ALLOWED_MB / 2
