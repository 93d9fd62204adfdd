import os
import subprocess
import sys
from pathlib import Path

import pytest

from quickstart.bootstrap import demo_secrets
from quickstart.demo_environment import adopt

ROOT = Path(__file__).parents[2]


def test_a_command_beside_make_run_needs_no_environment(tmp_path):
    demo_secrets(str(tmp_path))
    bare = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_is_the_environment_that_make_run_gives_its_processes(tmp_path):
    (tmp_path / "var").mkdir()
    secrets = demo_secrets(str(tmp_path / "var"))
    environment: dict[str, str] = {}
    adopt(environment, tmp_path)
    assert environment == secrets | {"DATA_DIR": str(tmp_path / "var"), "ATELIER_DEMO": "1"}


@pytest.mark.parametrize("name", ["SECRET_KEY", "RUNNER_TOKEN", "FIELD_ENCRYPTION_KEYS", "DATABASE_URL"])
def test_an_installation_of_ones_own_is_left_alone(tmp_path, name):
    demo_secrets(str(tmp_path))
    own = {name: "mine", "DATA_DIR": str(tmp_path)}
    environment = dict(own)
    adopt(environment, tmp_path)
    assert environment == own


def test_where_make_run_never_was_nothing_is_set(tmp_path):
    environment = {"DATA_DIR": str(tmp_path)}
    adopt(environment, tmp_path)
    assert environment == {"DATA_DIR": str(tmp_path)}
