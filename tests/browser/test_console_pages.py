"""Tabs of a source without JavaScript, and the list of jobs that refreshes itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console
from tests.browser.test_ops_tasks import new_source
from tests.e2e.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo]


def test_tab_of_a_source_is_saved_without_javascript(
    visit: Callable[..., Console], installation: Installation
) -> None:
    new_source(installation, "plain-shop", max_width=640)
    console = visit(java_script_enabled=False)
    console.open("access/businesssource/?q=plain-shop")
    console.click_link("plain-shop")
    console.click_link("Size limits", exact=True)
    console.page.get_by_label("Max height").fill("768")
    console.click_button("Save", exact=True)
    expect(console.page.get_by_role("link", name="Size limits", exact=True)).to_have_attribute(
        "aria-current", "page"
    )
    saved = installation.python("""
import json
from access.models import BusinessSource
print(json.dumps(list(BusinessSource.objects.values_list("max_width", "max_height").get(name="plain-shop"))))""")
    assert saved == [640, 768]


def test_list_of_jobs_refreshes_itself_and_keeps_the_selection(
    console: Console, installation: Installation
) -> None:
    request = {"prompt": "a violet star", "width": 64, "height": 64, "num_inference_steps": 2}
    first = installation.client.post("/api/v1/jobs", json=request).json()["id"]
    console.open("jobs/job/")
    console.page.evaluate("window.isSamePage = true")
    second = installation.client.post("/api/v1/jobs", json=request).json()["id"]
    expect(
        console.page.get_by_role("link", name=second[:8])
    ).to_be_visible()  # without a selection, rows move

    row = console.page.locator(f'#result_list tbody:has(input[value="{first}"])')
    row.get_by_role("checkbox").check()
    long = installation.client.post(
        "/api/v1/jobs", json=request | {"width": 512, "height": 512, "num_inference_steps": 150}
    ).json()["id"]
    expect(row.get_by_text("succeeded")).to_be_visible()
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(console.page.get_by_role("link", name=long[:8])).to_have_count(0)
    row.get_by_role("checkbox").uncheck()
    cancel = console.page.get_by_role("button", name=f"Cancel job {long[:8]}")
    expect(cancel).to_be_visible()
    assert console.page.evaluate("window.isSamePage")

    cancel.click()
    console.expect_text("will stop it shortly")
    assert console.page.url.endswith("/jobs/job/")
