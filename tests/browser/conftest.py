"""Runs the console in Chromium against the platform's real processes; skipped if there is no Chromium.

The processes start once per session, because they take most of the time; Chromium starts once per package, because
its event loop must not run while other packages' tests use the database. Tests share the installation: they make
sources and users of their own, with unique names, and leave runners and defaults as they found them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, StorageState, expect, sync_playwright

from tests.browser.console import Console
from tests.browser.preparation import signed_in
from tests.e2e.installation import Installation
from tests.support.web_server import WebServer

TIMEOUT_MS = 60_000  # generous: the tests assert nothing about speed
DESKTOP = {"width": 1440, "height": 900}


@pytest.fixture(scope="session")
def chromium_path() -> str:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("no Chromium found, and REQUIRE_BROWSER is set")
        pytest.skip("no Chromium found")
    return path


@pytest.fixture(scope="package")
def chromium(chromium_path: str) -> Iterator[Browser]:
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def installation(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    data_dir = tmp_path_factory.mktemp("browser")
    installation = Installation(
        data_dir,
        f"sqlite:///{data_dir / 'atelier.sqlite3'}",
        OUTBOUND_ALLOWED="127.0.0.1",
        LANGUAGE_CODE="en",
    )
    try:
        installation.start("runner", "web", "generation", "background")
        yield installation
    finally:
        for name in list(installation.processes):
            installation.kill(name)  # no graceful shutdown needed
        installation.stop()


@pytest.fixture(scope="session")
def screenshots() -> Path | None:
    """Folder of the screenshots. Without SCREENSHOTS none are made, because each costs a second."""
    if not os.environ.get("SCREENSHOTS"):
        return None
    folder = Path(os.environ["SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def session(installation: Installation) -> StorageState:
    """Cookies of a signed-in admin."""
    credentials = installation.credentials
    return signed_in(installation, credentials["admin_user"], credentials["admin_password"])


@pytest.fixture
def visit(
    chromium: Browser, installation: Installation, session: StorageState, screenshots: Path | None
) -> Iterator[Callable[..., Console]]:
    """``visit(viewport=..., color_scheme="dark")``: the console, signed in as an admin."""
    contexts = []

    def visit(**options: Any) -> Console:
        settings = {"viewport": DESKTOP, "locale": "en-US", "storage_state": session} | options
        context = chromium.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        return Console(page, installation.base_url, screenshots)

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def console(visit: Callable[..., Console]) -> Console:
    return visit()


@pytest.fixture
def web_server() -> Iterator[WebServer]:
    """Web server outside the platform: it receives callbacks, and has files."""
    server = WebServer()
    yield server
    server.close()
