import subprocess
import sys

TUNED = """
import gc, sys
from gpu_runner.engine import gc_tuning

gc_tuning.tune()
assert gc.get_freeze_count() > 0
assert sys.getswitchinterval() < 0.001
"""


def test_a_runner_freezes_its_libraries_and_switches_threads_quickly():
    """In a process of its own, as it changes all of it."""
    subprocess.run([sys.executable, "-c", TUNED], check=True)
