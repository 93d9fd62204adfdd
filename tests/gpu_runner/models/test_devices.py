import os
import subprocess
import sys

import pytest
import torch

from gpu_runner.models import devices


def set_cuda(monkeypatch, version: str | None, count: int) -> None:
    monkeypatch.setattr(torch.version, "cuda", version)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(
    ("name", "version", "count", "message"),
    [
        ("cuda:0", None, 0, "is a build without CUDA"),
        ("cuda", "13.0", 0, "a driver for CUDA 13.0"),
        ("cuda:2", "13.0", 2, "the highest index of the 2 visible GPUs is 1"),
        ("banana", "13.0", 2, "unknown device 'banana': allowed are auto, cpu, cuda and cuda:N"),
        ("meta", "13.0", 2, "unknown device"),
        ("", "13.0", 2, "unknown device"),
    ],
)
def test_unusable_device_is_refused_with_its_cause(name, version, count, message, monkeypatch):
    set_cuda(monkeypatch, version, count)
    with pytest.raises(devices.DeviceUnavailable, match=message):
        devices.pick(name)


def test_usable_devices_are_returned(monkeypatch):
    set_cuda(monkeypatch, "13.0", 2)
    assert [str(devices.pick(name)) for name in ("auto", "cpu", "cuda:1")] == ["cuda", "cpu", "cuda:1"]
    set_cuda(monkeypatch, None, 0)
    assert str(devices.pick("auto")) == "cpu"


@pytest.mark.slow
@pytest.mark.skipif(torch.version.cuda is not None, reason="needs a torch without CUDA")
def test_runner_with_a_cuda_device_and_a_torch_without_cuda_ends_with_one_line():
    environment = os.environ | {"RUNNER_TOKEN": "any", "RUNNER_DEVICE": "cuda:0", "RUNNER_PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "gpu_runner"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("gpu_runner: device cuda:0: torch ")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is glibc's")
def test_trim_heap_returns_fragmented_memory_to_the_system():
    """In a process of its own, because the memory that malloc holds depends on earlier allocations."""
    code = """
import psutil
import torch
from gpu_runner.models import devices

tensors = [torch.ones(16_000) for _ in range(2_000)]  # 122 MiB
kept = tensors[::10]
del tensors
before = psutil.Process().memory_info().rss
devices.trim_heap()
assert before - psutil.Process().memory_info().rss > 60 * 2**20
assert all(tensor.sum() == 16_000 for tensor in kept)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
