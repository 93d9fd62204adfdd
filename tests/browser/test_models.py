"""Model files in the console: an operator gives a checkpoint defaults and tags, and finds it again."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console
from tests.browser.test_accessibility import violations_on
from tests.e2e.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo]

STEPS = 3


@pytest.fixture
def checkpoint(installation: Installation) -> int:
    """Key of the demo's default checkpoint, which has no default steps again afterwards."""
    yield installation.python("""
from models_registry.models import ModelFile
print(ModelFile.objects.get(kind="checkpoint", is_default=True).pk)""")
    installation.python("""
from models_registry.models import ModelFile
print(ModelFile.objects.update(default_steps=None))""")


def test_operator_sets_default_steps_and_a_request_without_steps_uses_them(
    console: Console, installation: Installation, checkpoint: int
) -> None:
    console.open("models_registry/checkpoint/?view=cards")
    card = console.page.locator("#model-cards li", has_text="atelier-shapes")
    expect(card).to_contain_text("commercial use")
    console.screenshot("model-cards")
    card.get_by_role("heading").get_by_role("link").click()
    console.page.get_by_label("Default steps").fill(str(STEPS))
    console.page.get_by_label("Tags").fill("shapes, demo")
    console.page.get_by_role("button", name="Save", exact=True).click()
    expect(console.page.locator("#model-cards")).to_contain_text("demo")
    drawn = installation.client.post("/sdapi/v1/txt2img", json={"prompt": "a red circle"}).json()
    assert (drawn["parameters"]["steps"], drawn["parameters"]["width"]) == (STEPS, 256)
    console.open(f"models_registry/checkpoint/{checkpoint}/change/")
    expect(console.page.get_by_text(re.compile(r"^demo \d+|: demo \d+")).first).to_be_visible()
    expect(console.page.locator(".model-images img").first).to_be_visible()
    console.screenshot("model-page")


def test_selected_cards_are_tagged_and_found_by_the_side_bar(console: Console) -> None:
    console.open("models_registry/lora/?view=cards")
    boxes = console.page.locator("#model-cards input[type=checkbox]")
    boxes.first.check()
    expect(console.page.locator(".action-counter").first).to_have_text("Selected: 1")
    console.run_action("Change tags, commercial use or access of the selected files")
    console.page.get_by_label("Add tags").fill("evening")
    console.click_button("Change", exact=True)
    expect(console.page.locator("#model-cards")).to_contain_text("evening")
    console.page.locator("#nav-filter").press_sequentially("atelier-night")
    found = console.page.locator("#search-results").get_by_role("link", name="atelier-night")
    expect(found.first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violations_on_model_pages(visit, checkpoint: int, scheme: str) -> None:
    console, found = visit(color_scheme=scheme, viewport={"width": 390, "height": 800}), {}
    for page in (
        "models_registry/modelfile/?view=cards",
        f"models_registry/checkpoint/{checkpoint}/change/",
        f"models_registry/checkpoint/bulk/?ids={checkpoint}",
        "jobs/modelintake/",
    ):
        console.open(page)
        found[page] = violations_on(console)
        assert console.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert {page: texts for page, texts in found.items() if texts} == {}
