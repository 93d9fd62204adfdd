"""A training in Chromium: ten images dropped on the form, trained by real processes, followed on the live page."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console
from tests.e2e.installation import Installation
from tests.support.training_jobs import pink_discs

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo, pytest.mark.slow]

DROPPED = """(files) => {
  const dropped = new DataTransfer();
  for (const [name, content] of files) {
    dropped.items.add(new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name));
  }
  return dropped;
}"""
TRAINING_S = 900
# A screenshot is to show a loss that falls.
STEPS = "200" if os.environ.get("SCREENSHOTS") else "12"


@pytest.fixture
def trainer(installation: Installation) -> Iterator[None]:
    url = f"http://127.0.0.1:{installation.trainer_port}"
    installation.manage("register_runner", "trainer", url, "--backend", "training")
    installation.start("trainer", "generation-trainer")
    yield
    for name in ("generation-trainer", "trainer"):
        installation.kill(name)
    installation.manage("drain_runner", "trainer")


@pytest.mark.usefixtures("trainer")
def test_dropped_images_become_a_lora_with_a_loss_chart(console: Console) -> None:
    page = console.page
    console.open()
    console.click_link("Trainings")
    console.click_link("New training")
    files = [(f"{n}.png", base64.b64encode(data).decode()) for n, data in enumerate(pink_discs(10, side=64))]
    page.dispatch_event("#training-drop", "drop", {"dataTransfer": page.evaluate_handle(DROPPED, files)})
    expect(page.locator("#training-chosen li")).to_have_count(10)

    page.get_by_label("Preset").select_option("quick")
    expect(page.get_by_label("Steps", exact=True)).to_have_value("200")
    page.get_by_label("Name", exact=True).fill("bad name")
    page.get_by_role("textbox", name="Trigger words").fill("zorb")
    page.get_by_label("Steps", exact=True).fill(STEPS)
    page.get_by_text("More settings").click()
    page.get_by_label("Resolution").fill("128")
    console.click_button("Start the training")
    expect(page.locator("#training-status")).to_contain_text("name")

    page.get_by_label("Name", exact=True).fill("zorb")
    console.click_button("Show the price")
    expect(page.locator("#training-status")).to_contain_text("Price in cost units: ")
    console.click_button("Start the training")
    expect(page.get_by_role("heading", name="zorb: succeeded")).to_be_visible(timeout=1000 * TRAINING_S)
    expect(page.locator("svg polyline")).to_be_visible()
    expect(page.get_by_alt_text("Grid of samples")).to_be_visible()
    console.screenshot("training")
    page.get_by_role("link", name="zorb", exact=True).click()
    expect(page.get_by_text("zorb").first).to_be_visible()
