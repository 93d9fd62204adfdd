"""Tasks of an operator with model files: upload, intake from a URL, defaults, tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from safetensors.torch import load_file, save_file

from tests.browser.console import Console
from tests.browser.preparation import generate
from tests.e2e.installation import ROOT, Installation
from tests.support.web_server import WebServer, answer

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo, pytest.mark.slow]

STEPS = 3


def weakened_night(strength: float, file: Path) -> Path:
    """A LoRA that the registry does not have: the demo's, with other weights."""
    tensors = load_file(ROOT / "demo/models/loras/atelier-night.safetensors")
    save_file({name: tensor * strength for name, tensor in tensors.items()}, file)
    return file


def test_uploaded_model_file_is_in_the_registry(console: Console, tmp_path: Path) -> None:
    file = weakened_night(0.5, tmp_path / "evening.safetensors")
    console.open()
    console.click_link("LoRAs")
    console.click_link("Upload", exact=True)
    console.page.locator("input[type=file]").set_input_files(file)
    console.screenshot("upload")
    console.click_button("Upload", exact=True)
    console.expect_text("evening was added to the registry.")
    console.screenshot("model-file")


def test_model_from_a_url_draws(
    console: Console, installation: Installation, web_server: WebServer, tmp_path: Path
) -> None:
    file = weakened_night(0.75, tmp_path / "file.safetensors")
    web_server.answers["/dawn.safetensors"] = answer(200, file.read_bytes())
    console.open("models_registry/lora/")
    console.click_link("Load from a URL")
    console.page.get_by_label("Address").fill(web_server.url("/missing.safetensors"))
    console.page.get_by_label("Name").fill("dusk")
    console.screenshot("model-from-url")
    console.click_button("Load", exact=True)
    expect(console.rows.filter(has_text="dusk")).to_contain_text("404")

    console.open("models_registry/lora/load/")
    console.page.get_by_label("Address").fill(web_server.url("/dawn.safetensors"))
    console.page.get_by_label("Name").fill("dawn")
    console.click_button("Load", exact=True)
    dawn = console.rows.filter(has_text="dawn")
    expect(dawn).to_contain_text("ready")  # without a reload, as all of its cells
    expect(dawn).to_contain_text(re.compile(r"(\d\S*\sKB) of \1"))
    console.screenshot("models-from-urls")
    small = {"steps": 2, "width": 64, "height": 64}
    plain, with_dawn = (
        generate(installation, prompt=f"a red circle{tag}", **small).json()["images"]
        for tag in ("", " <lora:dawn:1>")
    )
    assert plain != with_dawn


@pytest.fixture
def checkpoint(installation: Installation) -> Iterator[int]:
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
