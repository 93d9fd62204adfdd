"""Chromium before the platform's real processes; skipped in one line where there is no Chromium."""

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

PATIENCE_MS = 60_000  # until a test gives up; nothing is asserted about speed
DESK = {"width": 1280, "height": 800}


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("no Chromium found, and REQUIRE_BROWSER is set")
        pytest.skip("no Chromium found")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def installation(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    data_dir = tmp_path_factory.mktemp("browser")
    made = Installation(
        data_dir,
        f"sqlite:///{data_dir / 'atelier.sqlite3'}",
        OUTBOUND_ALLOWED="127.0.0.1",
        LANGUAGE_CODE="en",
    )
    try:
        made.start("runner", "web", "generation", "background")
        yield made
    finally:
        for name in list(made.processes):
            made.kill(name)  # nobody looks at how they end
        made.stop()


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the screenshots go: ``make tour`` keeps them."""
    folder = Path(os.environ.get("TOUR_DIR") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="package")
def session(chromium: Browser, installation: Installation, pictures: Path) -> Any:
    """Cookies of an admin who has signed in."""
    context = chromium.new_context(viewport=DESK, locale="en-US")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    known = installation.credentials
    Console(page, installation.base_url, pictures).sign_in(known["admin_user"], known["admin_password"])
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def visit(
    chromium: Browser, installation: Installation, session: Any, pictures: Path
) -> Iterator[Callable[..., Console]]:
    """``visit(viewport=..., color_scheme="dark")``: the console for somebody signed in."""
    contexts = []

    def visit(**options: Any) -> Console:
        settings = {"viewport": DESK, "locale": "en-US", "storage_state": session} | options
        context = chromium.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        return Console(page, installation.base_url, pictures)

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def console(visit: Callable[..., Console]) -> Console:
    return visit()
