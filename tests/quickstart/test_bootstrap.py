import json
import os
import shutil
import signal
import subprocess
import sys
import venv
import zipfile
from collections import namedtuple
from pathlib import Path

import pip
import pytest

from quickstart import bootstrap

pytestmark = pytest.mark.slow

ROOT = Path(bootstrap.ROOT)


def test_data_dir_in_use_is_refused_with_the_port(tmp_path):
    bootstrap.lock_data_dir(str(tmp_path), "8413")
    with pytest.raises(SystemExit, match=r"atelier: .* is in use by the `make run` on port 8413"):
        bootstrap.lock_data_dir(str(tmp_path), "8414")


def test_data_dir_is_unlocked_when_the_process_ends(tmp_path):
    code = f"import sys; sys.path.append('platform'); from quickstart.bootstrap import lock_data_dir; lock_data_dir({str(tmp_path)!r}, '1')"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    bootstrap.lock_data_dir(str(tmp_path), "8413")


@pytest.mark.parametrize("name", ["50%", "a ;b", "a\nb"])
def test_path_that_supervisord_cannot_escape_is_refused(tmp_path, name):
    with pytest.raises(SystemExit, match="DATA_DIR may not contain"):
        bootstrap.check_data_dir(str(tmp_path / name))
    assert not list(tmp_path.iterdir())


def test_secrets_are_kept_and_private(tmp_path):
    created = bootstrap.demo_secrets(str(tmp_path))
    assert bootstrap.demo_secrets(str(tmp_path)) == created
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "secrets.json").read_text()) == created


def test_damaged_secrets_are_reported_and_not_overwritten(tmp_path):
    (tmp_path / "secrets.json").write_text('{"SECRET_KEY": "a')
    with pytest.raises(SystemExit, match="not valid JSON"):
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
        # SIGINT may be ignored when the tests run in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stdout is not None
    while "here" not in running.stdout.readline():
        pass
    running.send_signal(signal.SIGINT)
    output, _none = running.communicate()
    assert (running.returncode, output) == (130, "")


# Dependencies of torch


def make_wheel(folder: Path, name: str, version: str, *requires: str) -> None:
    info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "\n".join(metadata))
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def cuda_index(tmp_path, monkeypatch) -> Path:
    """Package index with only torch 99 for CUDA, like PyPI for Linux."""
    folder = tmp_path / "wheels"
    make_wheel(folder, "torch", "99", "nvidia_cublas")
    make_wheel(folder, "nvidia_cublas", "1")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", folder.as_uri())  # without pages: only the links are found
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def cpu_index(tmp_path) -> str:
    """Package index with torch 99 for CPUs."""
    folder = tmp_path / "simple" / "torch"
    make_wheel(folder, "torch", "99+cpu")
    (file,) = folder.iterdir()
    (folder / "index.html").write_text(f'<a href="{file.name}">{file.name}</a>')
    return folder.parent.as_uri()


@pytest.fixture
def lock(tmp_path, monkeypatch) -> str:
    """Lock file with only torch, for a virtual environment with only pip."""
    venv.create(tmp_path / "venv", symlinks=True)
    (site_packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site_packages / "pip").symlink_to(Path(pip.__file__).parent)
    monkeypatch.setattr(bootstrap, "VENV", str(tmp_path / "venv"))
    monkeypatch.setattr(bootstrap, "PYTHON", str(tmp_path / "venv" / "bin" / "python"))
    monkeypatch.delenv("TORCH_INDEX_URL", raising=False)
    (tmp_path / "without-dependencies.txt").write_text("")
    (tmp_path / "lock.txt").write_text("torch==99\n    # via nothing\n")
    return str(tmp_path / "lock.txt")


@pytest.fixture
def free_gib(monkeypatch):
    usage = namedtuple("usage", "free")
    return lambda gib: monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(gib * bootstrap.GIB))


def installed(name: str) -> str:
    command = [bootstrap.PYTHON, "-c", f"from importlib.metadata import version; print(version({name!r}))"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_torch_for_cuda_needs_more_disk(cuda_index, lock, free_gib):
    free_gib(5)
    with pytest.raises(SystemExit, match=r"torch for CUDA needs 10.0 GiB .* TORCH_INDEX_URL"):
        bootstrap.install(lock)


def test_torch_for_cuda_is_installed_with_enough_disk_space(cuda_index, lock, free_gib):
    free_gib(11)
    bootstrap.install(lock)
    assert (installed("torch"), installed("nvidia_cublas")) == ("99", "1")


def test_index_of_cpu_builds_can_be_chosen(cuda_index, cpu_index, lock, free_gib, monkeypatch):
    monkeypatch.setenv("TORCH_INDEX_URL", cpu_index)
    free_gib(5)
    bootstrap.install(lock)
    assert installed("torch") == "99+cpu"


def test_installation_is_not_repeated_for_the_same_lock(cuda_index, lock, free_gib):
    free_gib(11)
    bootstrap.install(lock)
    free_gib(0)
    bootstrap.install(lock)


def test_index_without_torch_is_refused(cuda_index, lock, monkeypatch, tmp_path):
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("TORCH_INDEX_URL", (tmp_path / "empty").as_uri())
    with pytest.raises(SystemExit, match="could not install torch==99 from TORCH_INDEX_URL"):
        bootstrap.install(lock)
