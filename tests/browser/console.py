"""Page object of the console for browser tests."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Locator, Page, TimeoutError, expect

NETWORK_IDLE_MS = 15_000
MAX_LOSSLESS_BYTES = 60_000
SERIOUS = {"serious", "critical"}  # impacts, in the words of axe


class Console:
    def __init__(self, page: Page, base_url: str, screenshots: Path | None) -> None:
        self.page = page
        self.base_url = base_url
        self.screenshots = screenshots

    def open(self, path: str = "") -> None:
        self.page.goto(f"{self.base_url}/admin/{path}")

    def sign_in(self, user: str, password: str) -> None:
        self.open()
        self.page.get_by_label("Username").fill(user)
        self.page.get_by_label("Password").fill(password)
        self.screenshot("sign-in", wait_for_images=False)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_role("heading", name="Ended jobs by hour")).to_be_visible()

    def click_link(self, name: str, **options: Any) -> None:
        self.page.get_by_role("link", name=name, **options).first.click()

    def click_button(self, name: str, **options: Any) -> None:
        self.page.get_by_role("button", name=name, **options).first.click()

    def click_add(self) -> None:
        self.page.locator('a[href$="/add/"]').first.click()

    @property
    def rows(self) -> Locator:
        return self.page.locator("#result_list tbody tr")

    def run_action(self, action: str) -> None:
        """Run a list action on the selected rows."""
        self.page.locator("select[name=action]").select_option(label=action)
        self.page.locator("button[name=index]").click()

    def filter_by(self, **filters: str) -> None:
        """Apply list filters by their labels."""
        self.page.get_by_text("filter_list").first.click()
        for name, choice in filters.items():
            self.page.locator(f"select[name={name}]").select_option(label=choice)
        self.click_button("Apply Filters")

    def expect_text(self, text: str) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible()

    @property
    def width(self) -> int:
        """Width of the page's content in pixels; more than the window's if the page scrolls horizontally."""
        return int(self.page.evaluate("document.scrollingElement.scrollWidth"))

    def screenshot(self, name: str, wait_for_images: bool = True) -> None:
        if self.screenshots is None:
            return
        if wait_for_images:
            # Only improves the screenshot; Chromium sometimes never reports network idle.
            with suppress(TimeoutError):
                self.page.wait_for_load_state("networkidle", timeout=NETWORK_IDLE_MS)
        image = Image.open(io.BytesIO(self.page.screenshot(animations="disabled"))).convert("RGB")
        path = self.screenshots / f"{name}.webp"
        image.save(path, lossless=True, method=6)
        if path.stat().st_size > MAX_LOSSLESS_BYTES:  # images on the page
            lossy = io.BytesIO()
            image.save(lossy, "WEBP", quality=80, method=6)
            path.write_bytes(min(lossy.getvalue(), path.read_bytes(), key=len))


def violations_on(console: Console, *rules: str) -> list[str]:
    """Serious violations on the shown page of these rules of axe, or of all."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}  # half the time of all results
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    violations: list[dict[str, Any]] = Axe().run(console.page, options=options).response["violations"]
    return [
        f"{each['id']}: {node['target'][0]}: {node['html'][:120]}"
        for each in violations
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]
