"""Accessibility (axe) of the main pages of the console, and their layout on a phone."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.console import Console
from tests.e2e.installation import Installation, eventually

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
    "labels/",
    "jobs/job/reproduce/",
    "{reproduction}",
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
    again = reproduction_of(installation, job)
    names = {"job": f"jobs/job/{job}/change/", "reproduction": f"jobs/job/{again}/change/"}
    return [page.format(**names, source=source, key=key) for page in PAGES]


def reproduction_of(installation: Installation, job: str) -> str:
    """The job that drew the first output of a job again, which has ended and was compared."""
    capsule = installation.client.get(f"/api/v1/jobs/{job}/outputs/0/capsule").json()
    again = installation.client.post("/api/v1/reproduce", json=capsule).json()

    def compared() -> bool:
        return (
            installation.client.get(f"/api/v1/reproductions/{again['id']}").json()["comparison"] is not None
        )

    eventually(compared, "the reproduction is compared")
    return again["id"]


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


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_labels_that_were_read_are_shown_accessibly(
    visit: Callable[..., Console], installation: Installation, tmp_path: Path, scheme: str, width: int
) -> None:
    request = {"prompt": "a red circle", "width": 256, "height": 256, "steps": 2}
    (tmp_path / "image.png").write_bytes(
        base64.b64decode(installation.client.post("/sdapi/v1/txt2img", json=request).json()["images"][0])
    )
    console = visit(color_scheme=scheme, viewport={"width": width, "height": 800})
    console.open("labels/")
    console.page.locator("input[type=file]").set_input_files(tmp_path / "image.png")
    console.click_button("Read labels")
    expect(console.page.get_by_text("looks alike: 0 of 64 bits differ")).to_be_visible()
    expect(console.page.get_by_text("This is the same file.")).to_be_visible()
    expect(console.page.get_by_text("No C2PA manifest.")).to_be_visible()
    console.screenshot(f"labels-{scheme}-{width}")
    assert violations_on(console) == []
    assert console.page.evaluate("document.scrollingElement.scrollWidth") <= width


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
