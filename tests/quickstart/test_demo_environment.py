"""Environment of commands beside `make run`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quickstart.bootstrap import demo_secrets
from quickstart.demo_environment import load_demo_environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_management_command_finds_the_secrets_of_make_run(tmp_path):
    demo_secrets(str(tmp_path))
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "manage.py", "check"]
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_environment_is_that_of_the_processes_of_make_run(tmp_path):
    (tmp_path / "var").mkdir()
    secrets = demo_secrets(str(tmp_path / "var"))
    environment: dict[str, str] = {}
    load_demo_environment(environment, tmp_path)
    assert environment == secrets | {"DATA_DIR": str(tmp_path / "var"), "ATELIER_DEMO": "1"}


@pytest.mark.parametrize("name", ["SECRET_KEY", "RUNNER_TOKEN", "FIELD_ENCRYPTION_KEYS", "DATABASE_URL"])
def test_configured_installation_is_not_changed(tmp_path, name):
    demo_secrets(str(tmp_path))
    configured = {name: "mine", "DATA_DIR": str(tmp_path)}
    environment = dict(configured)
    load_demo_environment(environment, tmp_path)
    assert environment == configured


def test_nothing_is_set_without_make_run(tmp_path):
    environment = {"DATA_DIR": str(tmp_path)}
    load_demo_environment(environment, tmp_path)
    assert environment == {"DATA_DIR": str(tmp_path)}
