"""Parsing of environment variables."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRINT_SETTING = (
    "import sys; sys.path.append('platform'); from config import settings; print(settings.KEEP_JOBS_DAYS)"
)


@pytest.mark.parametrize(("value", "expected"), [("", "None"), ("30", "30")])
@pytest.mark.slow
def test_empty_number_of_days_means_forever(value, expected):
    environment = os.environ | {"KEEP_JOBS_DAYS": value}
    process = subprocess.run(
        [sys.executable, "-c", PRINT_SETTING],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.stdout.strip() == expected, process.stderr
