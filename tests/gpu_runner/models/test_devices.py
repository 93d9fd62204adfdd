import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


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
