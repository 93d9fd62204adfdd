"""All pages of the console: accessible by the rules of axe, light and dark, and as wide as the window, in both languages."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from playwright.sync_api import StorageState

from tests.browser.console import Console, violations_on
from tests.browser.pages import TENANT_PAGES, pages_of_an_operator
from tests.browser.preparation import drawn, new_source, new_tenant
from tests.e2e.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo, pytest.mark.slow]

DESKTOP, TELEPHONE = ({"width": width, "height": 900} for width in (1440, 390))


@pytest.fixture(scope="module")
def operator_pages(installation: Installation) -> list[str]:
    return pages_of_an_operator(installation)


@pytest.fixture(scope="module")
def tenant(installation: Installation) -> StorageState:
    """Cookies of a user of a source that has a job."""
    login = new_source(installation, "neat-shop", title="Neat shop", images_per_day=100)
    drawn(installation, login, width=64, height=64, num_inference_steps=2)
    return new_tenant(installation, "neat-shop", "neat", "a long password of a neat shop")


def faults_of(console: Console, pages: Iterable[str]) -> dict[str, list[str]]:
    """What is wrong with each page: its status, errors of scripts, violations in both schemes, its width."""
    errors: list[str] = []
    console.page.on("pageerror", lambda error: errors.append(f"script: {error}"))
    faults = {}
    for path in pages:
        errors.clear()
        console.page.set_viewport_size(DESKTOP)
        console.page.emulate_media(color_scheme="light")
        response = console.page.goto(f"{console.base_url}/admin/{path}")
        console.page.wait_for_load_state("networkidle")
        assert response is not None
        expected = 404 if path == "nowhere/" else 200
        found = [] if response.status == expected else [f"status {response.status}"]
        found += [f"light: {text}" for text in violations_on(console)]
        found += width_of(console)
        console.page.set_viewport_size(TELEPHONE)
        console.page.emulate_media(color_scheme="dark")
        found += [f"dark: {text}" for text in violations_on(console, "color-contrast")]
        found += [*width_of(console), *errors]
        if found:
            faults[path] = found
    return faults


def width_of(console: Console) -> list[str]:
    window = console.page.viewport_size
    assert window is not None
    return [] if console.width <= window["width"] else [f"{console.width} px wide of {window['width']}"]


def fail_for(faults: dict[str, list[str]]) -> None:
    """Fail with all faults; pytest would truncate the difference of dictionaries."""
    if faults:
        pytest.fail("\n".join(f"{path}: {fault}" for path, found in faults.items() for fault in found))


def test_pages_of_an_operator_are_accessible_and_fit(console: Console, operator_pages: list[str]) -> None:
    fail_for(faults_of(console, operator_pages))


def test_pages_of_a_tenant_are_accessible_and_fit(
    visit: Callable[..., Console], tenant: StorageState
) -> None:
    fail_for(faults_of(visit(storage_state=tenant), TENANT_PAGES))


def test_pages_fit_a_telephone_in_chinese(
    visit: Callable[..., Console], operator_pages: list[str], tenant: StorageState
) -> None:
    """Chinese texts break elsewhere than English ones."""
    faults = {}
    for pages, given in ((operator_pages, {}), (TENANT_PAGES, {"storage_state": tenant})):
        console = visit(locale="zh-CN", viewport=TELEPHONE, **given)
        for path in pages:
            console.open(path)
            if found := width_of(console):
                faults[path] = found
        assert console.page.locator("html").get_attribute("lang") == "zh-hans"
    fail_for(faults)
