import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is glibc's")
def test_what_lies_free_between_what_is_used_goes_back_to_the_system():
    """In a process of its own: how much malloc holds depends on all that went before."""
    code = """
import psutil
import torch
from gpu_runner.models import devices

tensors = [torch.ones(16_000) for _ in range(2_000)]  # 122 MiB
kept = tensors[::10]
del tensors
before = psutil.Process().memory_info().rss
devices.give_back()
assert before - psutil.Process().memory_info().rss > 60 * 2**20
assert all(tensor.sum() == 16_000 for tensor in kept)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
