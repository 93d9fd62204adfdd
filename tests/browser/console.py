"""The console in a browser, as somebody who runs a platform sees it."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Locator, Page, TimeoutError, expect

SETTLED_MS = 15_000


class Console:
    def __init__(self, page: Page, base_url: str, pictures: Path) -> None:
        self.page = page
        self.base_url = base_url
        self.pictures = pictures

    def open(self, path: str = "") -> None:
        self.page.goto(f"{self.base_url}/admin/{path}")

    def sign_in(self, user: str, password: str) -> None:
        self.open()
        self.page.get_by_label("Username").fill(user)
        self.page.get_by_label("Password").fill(password)
        self.shot("sign-in", wait_for_pictures=False)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_role("heading", name="Jobs that ended")).to_be_visible()

    def follow(self, name: str, **how: Any) -> None:
        self.page.get_by_role("link", name=name, **how).first.click()

    def press(self, name: str, **how: Any) -> None:
        self.page.get_by_role("button", name=name, **how).first.click()

    def add(self) -> None:
        self.page.locator('a[href$="/add/"]').first.click()

    @property
    def rows(self) -> Locator:
        return self.page.locator("#result_list tbody tr")

    def act(self, action: str) -> None:
        """On the rows that are selected."""
        self.page.locator("select[name=action]").select_option(label=action)
        self.page.locator("button[name=index]").click()

    def narrow(self, **filters: str) -> None:
        """The list, to what the filters beside it say."""
        self.page.get_by_text("filter_list").first.click()
        for name, choice in filters.items():
            self.page.locator(f"select[name={name}]").select_option(label=choice)
        self.press("Apply Filters")

    def says(self, text: str) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible()

    def shot(self, name: str, wait_for_pictures: bool = True) -> None:
        if wait_for_pictures:
            # For the picture's sake only: now and then Chromium never says that it is idle.
            with suppress(TimeoutError):
                self.page.wait_for_load_state("networkidle", timeout=SETTLED_MS)
        taken = Image.open(io.BytesIO(self.page.screenshot(animations="disabled"))).convert("RGB")
        taken.save(self.pictures / f"{name}.webp", lossless=True, method=6)
