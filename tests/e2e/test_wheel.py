"""The wheel: its contents, and an installation without a checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.installation import ROOT, eventually
from tests.support.ports import free_port

pytestmark = pytest.mark.processes

PACKAGES = ("jobs", "models_registry", "gpu_runner", "platform", "templates")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


class Site:
    """A virtual environment with the wheel, and everything else from the environment of the tests."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder / "empty"
        self.folder.mkdir()
        self.port = free_port()
        venv.create(folder / "venv", symlinks=True)
        self.bin = folder / "venv" / "bin"
        (site_packages,) = (folder / "venv").glob("lib/python*/site-packages")
        (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        pip = [sys.executable, "-m", "pip", "--python", self.bin / "python", "install", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        settings = {"SECRET_KEY": "wheel" * 10, "RUNNER_TOKEN": "wheel", "DATA_DIR": str(folder / "data")}
        self.environment = kept | settings
        (folder / "data").mkdir()

    def run(self, *command: str) -> str:
        """Standard output of a command of this environment."""
        done = subprocess.run(
            [self.bin / command[0], *command[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def serve(self) -> subprocess.Popen[bytes]:
        gunicorn = [self.bin / "python", "-m", "gunicorn", "--config", "python:config.gunicorn_conf"]
        return subprocess.Popen(
            [*gunicorn, "--bind", f"127.0.0.1:{self.port}"], cwd=self.folder, env=self.environment
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Site:
    return Site(tmp_path_factory.mktemp("site"), wheel)


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[httpx.Client]:
    site.run("atelier", "migrate", "--verbosity", "0")
    site.run("atelier", "collectstatic", "--no-input", "--verbosity", "0")
    process = site.serve()
    with httpx.Client(base_url=f"http://127.0.0.1:{site.port}", trust_env=False, timeout=60) as client:

        def is_healthy() -> bool:
            assert process.poll() is None, "gunicorn has ended"
            try:
                return client.get("/healthz").status_code == 200
            except httpx.HTTPError:
                return False

        try:
            eventually(is_healthy, "the site is healthy")
            yield client
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the list of files comes from git")
def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path):
    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    expected = {
        re.sub("^(templates|platform/locale)/", lambda found: f"config/{Path(found[1]).name}/", name)
        for name in files
    }
    expected = {name.removeprefix("platform/") for name in expected}
    assert expected - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_wheel_has_no_package_named_platform(wheel: Path):
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("platform/")]


def test_installed_site_shows_the_login_page_with_its_styles_and_templates(client: httpx.Client):
    page = client.get("/admin/login/")
    assert page.status_code == 200
    assert "Atelier 画坊" in page.text
    styles = re.findall(r'<link href="(/static/[^"]+\.css)"', page.text)
    assert styles
    assert {client.get(path).status_code for path in styles} == {200}


def test_installed_site_has_its_translations(client: httpx.Client):
    assert "登录" in client.get("/admin/login/", headers={"Accept-Language": "zh-hans"}).text


def test_installed_site_has_its_own_templates(site: Site):
    code = (
        "from django.template.loader import get_template; print(get_template('admin/index.html').origin.name)"
    )
    assert "/config/templates/" in site.run("atelier", "shell", "--no-imports", "-c", code)


def test_installed_commands_come_from_the_wheel(site: Site):
    code = "import jobs, config, gpu_runner; print(jobs.__file__, config.__file__, gpu_runner.__file__)"
    assert str(ROOT) not in site.run("python", "-c", code)


def test_installed_runner_shows_its_options(site: Site):
    assert "--models-root" in site.run("python", "-m", "gpu_runner", "--help")
