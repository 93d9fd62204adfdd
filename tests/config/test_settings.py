import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READ = "import sys; sys.path.append('platform'); from config import settings; print(settings.KEEP_JOBS_DAYS)"


@pytest.mark.parametrize(("line", "read"), [("", "None"), ("30", "30")])
def test_an_empty_number_of_days_keeps_for_ever(line, read):
    environment = os.environ | {"KEEP_JOBS_DAYS": line}
    done = subprocess.run(
        [sys.executable, "-c", READ], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == read, done.stderr
