import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quickstart import bootstrap

ROOT = Path(bootstrap.ROOT)


def test_a_data_dir_that_is_in_use_is_refused_with_the_others_port(tmp_path):
    bootstrap.hold(str(tmp_path), "8413")
    with pytest.raises(SystemExit, match=r"atelier: .* is in use by the `make run` on port 8413"):
        bootstrap.hold(str(tmp_path), "8414")


def test_a_data_dir_is_free_again_when_the_process_has_ended(tmp_path):
    code = f"import sys; sys.path.append('platform'); from quickstart.bootstrap import hold; hold({str(tmp_path)!r}, '1')"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    bootstrap.hold(str(tmp_path), "8413")


@pytest.mark.parametrize("name", ["50%", "a ;b", "a\nb"])
def test_a_name_that_supervisord_cannot_read_is_refused(tmp_path, name):
    with pytest.raises(SystemExit, match="DATA_DIR may not contain"):
        bootstrap.check_data_dir(str(tmp_path / name))
    assert not list(tmp_path.iterdir())


def test_secrets_are_kept_and_private(tmp_path):
    made = bootstrap.demo_secrets(str(tmp_path))
    assert bootstrap.demo_secrets(str(tmp_path)) == made
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "secrets.json").read_text()) == made


def test_damaged_secrets_are_refused_in_one_line_and_left_alone(tmp_path):
    (tmp_path / "secrets.json").write_text('{"SECRET_KEY": "a')
    with pytest.raises(SystemExit, match="damaged"):
        bootstrap.demo_secrets(str(tmp_path))
    assert (tmp_path / "secrets.json").read_text() == '{"SECRET_KEY": "a'


def test_ctrl_c_while_a_command_runs_shows_no_traceback(tmp_path):
    environment = {
        **os.environ,
        "SECRET_KEY": "x",
        "RUNNER_TOKEN": "x",
        "DATA_DIR": str(tmp_path),
        "ATELIER_DEMO": "1",
    }
    command = [
        sys.executable,
        "manage.py",
        "shell",
        "-c",
        "print('here', flush=True); import time; time.sleep(60)",
    ]
    running = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs the tests in the background may have had Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stdout is not None
    while "here" not in running.stdout.readline():
        pass
    running.send_signal(signal.SIGINT)
    said, _none = running.communicate()
    assert (running.returncode, said) == (130, "")
