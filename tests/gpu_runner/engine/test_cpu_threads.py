import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

THREADS = """
import psutil, torch
from gpu_runner.engine import cpu_threads

large = torch.randn(4, 64, 64, 64)
before = psutil.Process().num_threads()

def started():
    large.relu().sum()
    return psutil.Process().num_threads() - before

cpu_threads.use_one_thread()
assert started() == 0
cpu_threads.use_threads(3)
assert started() == 2
"""


def test_an_operation_uses_the_configured_number_of_threads():
    """Runs in a separate process, because other tests start threads."""
    subprocess.run([sys.executable, "-c", THREADS], check=True)
