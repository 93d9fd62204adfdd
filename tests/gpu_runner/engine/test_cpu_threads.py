import subprocess
import sys

CREW_COMES_AND_GOES = """
import psutil, torch
from gpu_runner import cpu_threads

threads = psutil.Process().num_threads
large = torch.randn(4, 64, 64, 64)
cpu_threads.share_among(3)
before = threads()
for _ in range(2):
    expected = large.relu().sum()
    assert threads() == before + 2
    cpu_threads.rest()
    assert threads() == before
cpu_threads.work_alone()
assert torch.allclose(large.relu().sum(), expected)
assert threads() == before
"""


def test_a_thread_without_work_has_no_crew():
    """In a process of its own, where nobody else starts threads."""
    subprocess.run([sys.executable, "-c", CREW_COMES_AND_GOES], check=True)
