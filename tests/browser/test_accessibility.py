"""Accessibility (axe) of the main pages of the console, and their layout on a phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.console import Console
from tests.e2e.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo]

SERIOUS = {"serious", "critical"}
PAGES = (
    "",
    "jobs/job/",
    "{job}",
    "access/businesssource/{source}/change/",
    "access/businesssource/{source}/change/?tab=keys",
    "access/businesssource/{source}/change/?tab=quotas",
    "access/accesskey/{key}/change/",
    "playground/",
    "gallery/",
)


@pytest.fixture(scope="module")
def pages(installation: Installation) -> list[str]:
    request = {"prompt": "a red circle", "width": 256, "height": 256, "steps": 2}
    assert installation.client.post("/sdapi/v1/txt2img", json=request).status_code == 200
    job, source, key = installation.python("""
import json
from jobs.models import Job
job = Job.objects.filter(state="succeeded").latest("created_at")
print(json.dumps([str(job.pk), job.source_id, job.key_id]))""")
    return [page.format(job=f"jobs/job/{job}/change/", source=source, key=key) for page in PAGES]


def violations_on(console: Console) -> list[str]:
    console.page.wait_for_load_state("networkidle")
    violations: list[dict[str, Any]] = Axe().run(console.page).response["violations"]
    return [
        f"{each['id']}: {node['target'][0]}: {node['html'][:120]}"
        for each in violations
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violations(
    visit: Callable[..., Console], pages: list[str], scheme: str
) -> None:
    console, all_violations = visit(color_scheme=scheme), {}
    for page in pages:
        console.open(page)
        all_violations[page] = violations_on(console)
    assert {page: texts for page, texts in all_violations.items() if texts} == {}


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_scrolls_horizontally(visit: Callable[..., Console], pages: list[str], width: int) -> None:
    console, widths = visit(viewport={"width": width, "height": 800}), {}
    for page in pages:
        console.open(page)
        console.page.wait_for_load_state("networkidle")
        if width < 400 and page == "":
            console.screenshot("dashboard-telephone")
        widths[page] = console.page.evaluate("document.scrollingElement.scrollWidth")
    assert {page: px for page, px in widths.items() if px > width} == {}
