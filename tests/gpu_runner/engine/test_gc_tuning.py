import subprocess
import sys

import pytest

TUNED = """
import gc, sys
from gpu_runner.engine import gc_tuning

gc_tuning.tune()
assert gc.get_freeze_count() > 0
assert sys.getswitchinterval() < 0.001
"""


@pytest.mark.slow
def test_tuning_freezes_imported_objects_and_shortens_the_switch_interval():
    """Runs in a separate process, because the settings are global."""
    subprocess.run([sys.executable, "-c", TUNED], check=True)
