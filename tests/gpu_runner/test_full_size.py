"""Checkpoints in the full size of the released families: written, loaded, and used for one image.

This takes gigabytes and minutes, so it runs only with ``FULL_SIZE_MODELS=/some/folder pytest -s`` on this file. Each file is
deleted again. SDXL needs 7 GB of disk and of memory.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import psutil
import pytest
import torch

from demo.architectures.random_models import write_family
from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import Done, ModelFile
from tests.support.event_listener import Listener, order_of

FOLDER = os.environ.get("FULL_SIZE_MODELS", "")
HALF = {"sdxl", "refiner"}  # in float32 they need more memory than many machines have

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="set FULL_SIZE_MODELS to a folder with 7 GB to spare"),
    pytest.mark.timeout(3600),
]


@pytest.fixture
def full_size(request):
    root = Path(FOLDER)
    path = root / f"{request.param}.safetensors"
    write_family(request.param, path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    yield root, ModelFile(path=path.name, sha256=digest)
    path.unlink()


@pytest.mark.parametrize("full_size", ["sd15", "sd2", "sdxl", "refiner"], indirect=True)
def test_a_full_size_checkpoint_is_loaded_and_generates_an_image(full_size):
    root, file = full_size
    family = Path(file.path).stem
    dtype = torch.float16 if family in HALF else torch.float32
    store = ModelStore(root, "cpu", dtype, 2**36)
    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    checkpoint = store.get(file)
    loaded, grown = time.perf_counter() - began, psutil.Process().memory_info().rss - before
    began = time.perf_counter()
    engine, listener = Engine(store, torch.device("cpu")), Listener()
    engine.start()
    engine.submit(order_of(family, file, num_inference_steps=1), listener)
    end = listener.end()
    engine.stop()
    print(
        f"\n{family}: {(root / file.path).stat().st_size / 1e9:.2f} GB on disk, hashed and loaded in {loaded:.1f} s as "
        f"{checkpoint.size_bytes / 1e9:.2f} GB ({grown / 1e9:.2f} GB more resident), "
        f"one step at 64x64 in {time.perf_counter() - began:.1f} s"
    )
    assert isinstance(end, Done), end
    assert listener.pixels[0].shape == (64, 64, 3)
