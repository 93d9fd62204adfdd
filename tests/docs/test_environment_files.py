"""The environment files in deploy/systemd mean the same to systemd and to a shell."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs import environment_file
from tests.docs.page import ROOT

FILES = sorted(path.name for path in (ROOT / "deploy/systemd").glob("*.env"))


def as_the_shell_reads(path: Path) -> dict[str, str]:
    """The variables that ``set -a; . file`` exports in a POSIX shell."""
    script = f"set -e -a; . {path}; exec env -0"
    done = subprocess.run(
        ["sh", "-c", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    variables = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)
    return {name: value for name, value in variables.items() if name not in {"PATH", "PWD", "_", "SHLVL"}}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.slow
def test_systemd_and_the_shell_read_the_same_values(name, tmp_path):
    path = tmp_path / name
    # Settings that are commented out have to be right, too, when an operator uses them.
    path.write_text(
        re.sub(r"^#(?=[A-Z_]+=)", "", (ROOT / "deploy/systemd" / name).read_text(), flags=re.MULTILINE)
    )
    values = environment_file.read(path)
    assert values
    assert as_the_shell_reads(path) == values


def test_storage_options_are_json(tmp_path):
    path = tmp_path / "atelier.env"
    path.write_text((ROOT / "deploy/systemd/atelier.env").read_text().replace("#STORAGE", "STORAGE"))
    assert json.loads(environment_file.read(path)["STORAGE_OPTIONS"])["bucket_name"] == "atelier"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=plain:text,1.2/3@4", "plain:text,1.2/3@4"),
        ("""A='{"a": "b $c"}'""", '{"a": "b $c"}'),
        ('A="x \\"y\\" z"', 'x "y" z'),
        ("A=", ""),
    ],
)
@pytest.mark.slow
def test_quoting_rules_of_the_manual(line, value, tmp_path):
    path = tmp_path / "file.env"
    path.write_text(line + "\n")
    assert environment_file.read(path) == {"A": value} == as_the_shell_reads(path)
