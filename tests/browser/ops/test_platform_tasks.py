"""Tasks of an operator for the whole platform: sign in, drain a runner, presets, labels, language."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console
from tests.browser.preparation import generate, new_source, queue
from tests.e2e.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo, pytest.mark.slow]

CHINESE = re.compile("[\u4e00-\u9fff]")


def test_sign_in_leads_to_the_dashboard(visit: Callable[..., Console], installation: Installation) -> None:
    console = visit(storage_state=None)
    console.open()
    console.page.get_by_label("Username").fill(installation.credentials["admin_user"])
    console.page.get_by_label("Password").fill("wrong")
    console.screenshot("sign-in")
    console.click_button("Log in")
    console.expect_text("Please enter the correct username and password")
    console.page.get_by_label("Password").fill(installation.credentials["admin_password"])
    console.click_button("Log in")
    expect(console.page.get_by_role("heading", name="Ended jobs by hour")).to_be_visible()
    console.screenshot("dashboard")
    console.page.set_viewport_size({"width": 390, "height": 844})
    console.screenshot("dashboard-telephone")


def test_runner_is_drained_and_resumed(console: Console, installation: Installation) -> None:
    console.open()
    console.click_link("Runners")
    console.rows.filter(has_text="local").get_by_role("checkbox").check()
    console.run_action("Drain: finish running jobs, start no new ones")
    console.open()
    expect(console.page.get_by_role("row").filter(has_text="local").get_by_text("draining")).to_be_visible()
    waiting = queue(installation, num_inference_steps=2)
    console.expect_text("Runner local is draining while 1 job waits.")
    console.open("jobs/runner/")
    console.screenshot("runner-draining")
    console.open(f"jobs/job/{waiting}/change/")
    console.expect_text("Queue status")
    console.screenshot("why-not-yet")

    console.open("jobs/runner/")
    console.rows.filter(has_text="local").get_by_role("checkbox").check()
    console.run_action("Resume: accept jobs again")
    console.open(f"jobs/job/{waiting}/change/")
    expect(console.page.locator(".job-timeline strong").last).to_have_text("succeeded")


def test_missing_presets_are_installed_from_the_checklist(
    console: Console, installation: Installation
) -> None:
    installation.python("""
from models_registry.models import PromptStyle
PromptStyle.objects.filter(name="enhance_prompt").delete()
print("null")""")
    console.open()
    console.click_link("Setup")
    style = console.page.get_by_role("row", name="Prompt style of enhance_prompt")
    expect(style).to_contain_text("missing")
    console.screenshot("setup")
    console.click_button("Install presets")
    expect(style).to_contain_text("present")
    assert enhanced(installation, "a red circle") != "a red circle"


def enhanced(installation: Installation, prompt: str) -> str:
    """The prompt that is drawn for a request to the API of stablediffusionapi.com with enhance_prompt."""
    given = installation.credentials
    body = {"key": f"{given['key_id']}:{given['secret']}", "prompt": prompt, "enhance_prompt": "yes"}
    size = {"width": "64", "height": "64", "num_inference_steps": "1", "samples": "1"}
    assert installation.client.post("/api/v3/text2img", json=body | size).json()["status"] == "success"
    [job] = installation.client.get("/api/v1/jobs?limit=1").json()["items"]
    return str(installation.client.get(job["url"]).json()["request"]["prompt"])


def test_visible_label_is_switched_on_and_read_back(
    console: Console, installation: Installation, tmp_path: Path
) -> None:
    login = new_source(installation, "honest-shop", title="Honest shop", content_producer="Honest Ltd.")
    image = tmp_path / "image.png"
    console.open("access/businesssource/?q=honest-shop")
    console.click_link("honest-shop")
    console.click_link("Images", exact=True)
    console.page.locator("[name=explicit_label]").select_option("on")
    console.page.locator("[name=label_text]").fill("AI-generated")
    console.screenshot("source-images")
    console.click_button("Save", exact=True)
    console.expect_text("was changed successfully")
    image.write_bytes(base64.b64decode(generate(installation, login).json()["images"][0]))

    console.open()
    console.click_link("Read labels")
    console.page.locator("input[type=file]").set_input_files(image)
    console.click_button("Read labels")
    console.expect_text("Visible text when it was stored: AI-generated")
    console.expect_text("This is the same file.")
    expect(console.page.get_by_role("row", name="ContentProducer")).to_contain_text("Honest Ltd.")
    console.screenshot("labels")


def test_console_is_translated_to_chinese(console: Console) -> None:
    console.open()
    console.page.get_by_text("unfold_more").click()
    console.screenshot("menu")
    console.click_button("简体中文")
    expect(console.page.get_by_role("link", name="业务来源")).to_be_visible()
    console.screenshot("chinese")
    for path in ("jobs/job/", "jobs/runner/", "access/businesssource/", "playground/"):
        console.open(path)
        for heading in console.page.get_by_role("heading").all_inner_texts():
            assert CHINESE.search(heading), f"{path}: {heading}"
