"""Runs the console in Chromium against the platform's real processes; skipped if there is no Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.console import Console
from tests.e2e.installation import Installation

TIMEOUT_MS = 60_000  # generous: the tests assert nothing about speed
DESKTOP = {"width": 1280, "height": 800}


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("no Chromium found, and REQUIRE_BROWSER is set")
        pytest.skip("no Chromium found")
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def installation(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
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


@pytest.fixture(scope="package")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the screenshots; ``make tour`` keeps them."""
    folder = Path(os.environ.get("TOUR_DIR") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="package")
def session(chromium: Browser, installation: Installation, screenshots: Path) -> Any:
    """Storage state (cookies) of a signed-in admin."""
    context = chromium.new_context(viewport=DESKTOP, locale="en-US")
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    credentials = installation.credentials
    Console(page, installation.base_url, screenshots).sign_in(
        credentials["admin_user"], credentials["admin_password"]
    )
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def visit(
    chromium: Browser, installation: Installation, session: Any, screenshots: Path
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
