"""Tasks of an operator for a tenant: source, key, limits, quotas, statement."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from openpyxl import load_workbook
from playwright.sync_api import expect

from tests.browser.console import Console
from tests.browser.preparation import PROMPT, Login, generate, new_source
from tests.e2e.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo, pytest.mark.slow]


def secret_on(console: Console) -> Login:
    """Key id and secret on the page that shows them once."""
    key_id, secret = (console.page.locator(f"#key-{part}").inner_text() for part in ("id", "secret"))
    return key_id, secret


def test_new_source_calls_the_api_with_its_key(console: Console, installation: Installation) -> None:
    console.open()
    console.click_link("Business sources")
    console.click_add()
    console.page.get_by_role("textbox", name="Name", exact=False).first.fill("flower-shop")
    console.page.get_by_label("Title").fill("Flower shop")
    console.screenshot("new-source")
    console.click_button("Save", exact=True)
    console.expect_text("it has no access key")
    console.click_link("New key")
    console.page.get_by_label("Note").fill("their web site")
    console.screenshot("new-key")
    console.click_button("Create the key")
    console.expect_text("The secret is shown only once.")
    console.screenshot("secret")

    response = generate(installation, secret_on(console))
    assert response.status_code == 200, response.text
    console.open("jobs/job/")
    job = console.page.get_by_role("row").filter(has_text="Flower shop")
    expect(job.get_by_text("succeeded")).to_be_visible()
    console.screenshot("jobs")
    job.get_by_role("link").last.click()
    expect(console.page.get_by_alt_text("image 0")).to_be_visible()
    console.screenshot("job")


def test_size_limit_is_set_on_its_tab_without_javascript(
    visit: Callable[..., Console], installation: Installation
) -> None:
    login = new_source(installation, "plain-shop", max_width=640)
    console = visit(java_script_enabled=False)
    console.open("access/businesssource/?q=plain-shop")
    console.click_link("plain-shop")
    console.click_link("Size limits", exact=True)
    console.page.get_by_label("Max height").fill("192")
    console.click_button("Save", exact=True)
    expect(console.page.get_by_role("link", name="Size limits", exact=True)).to_have_attribute(
        "aria-current", "page"
    )
    for size, allowed in (({"width": 704}, "at most 640"), ({"height": 256}, "at most 192")):
        refused = generate(installation, login, **size)
        assert refused.status_code == 422
        assert allowed in refused.text


def test_raised_quota_admits_the_next_request(console: Console, installation: Installation) -> None:
    login = new_source(installation, "small-shop", title="Small shop", images_per_day=1)
    assert generate(installation, login).status_code == 200
    assert generate(installation, login).status_code == 429
    console.open("access/businesssource/")
    console.click_link("small-shop")
    console.click_link("Quotas")
    console.page.get_by_label("Images per day").first.fill("20")
    console.screenshot("quota")
    console.click_button("Save", exact=True)
    console.expect_text("was changed successfully")
    assert generate(installation, login).status_code == 200


def test_rotated_key_accepts_only_the_new_secret(console: Console, installation: Installation) -> None:
    key_id, old = new_source(installation, "leaky-shop")
    console.open()
    console.click_link("Access keys")
    console.click_link(key_id)
    console.click_link("New secret")
    console.screenshot("rotate")
    console.click_button("Rotate")
    shown_id, new = secret_on(console)
    assert shown_id == key_id
    assert generate(installation, (key_id, old)).status_code == 401
    assert generate(installation, (key_id, new)).status_code == 200


def test_statement_of_a_month_is_shown_and_downloaded(
    console: Console, installation: Installation, tmp_path: Path
) -> None:
    login = new_source(installation, "paying-shop", title="Paying shop")
    for _ in range(2):
        assert generate(installation, login).status_code == 200
    console.open("access/businesssource/")
    console.click_link("paying-shop")
    console.click_link("Statement")
    month = console.page.get_by_label("Month").input_value()
    expect(console.page.locator("dl")).to_contain_text("Cost units")
    console.screenshot("statement")
    files = {name: save(console, name, tmp_path) for name in ("CSV", "XLSX")}
    lines = list(csv.reader(files["CSV"].read_text("utf-8-sig").splitlines()))
    sheet = load_workbook(files["XLSX"]).active
    assert sheet is not None
    assert all(month in file.name for file in files.values())
    assert any("atelier-shapes" in line for line in lines)
    assert any("atelier-shapes" in row for row in sheet.iter_rows(values_only=True))


def save(console: Console, name: str, folder: Path) -> Path:
    with console.page.expect_download() as download:
        console.click_link(name, exact=True)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_commercial_use_is_enforced_for_a_source(console: Console, installation: Installation) -> None:
    login = new_source(installation, "careful-shop")
    console.open("access/businesssource/?q=careful-shop")
    console.click_link("careful-shop")
    console.click_link("Access", exact=True)
    console.page.get_by_label("Only models for commercial use").check()
    console.screenshot("source-access")
    console.click_button("Save", exact=True)
    console.expect_text("was changed successfully")
    mark_commercial_use(console, "atelier-rings", "not permitted")
    refused = draw_rings(installation, login)
    assert refused.status_code == 422
    assert "commercial use is not marked as permitted" in refused.text
    assert draw_rings(installation).status_code == 201  # other sources do not require it
    mark_commercial_use(console, "atelier-rings", "permitted")
    assert draw_rings(installation, login).status_code == 201


def draw_rings(installation: Installation, login: Login | None = None) -> httpx.Response:
    """Submit a job with a LoRA, for the demo source by default."""
    body = {"prompt": PROMPT, "loras": [{"name": "atelier-rings"}], "width": 64, "height": 64}
    auth = login or installation.client.auth
    return installation.client.post("/api/v1/jobs", json=body | {"num_inference_steps": 2}, auth=auth)


def mark_commercial_use(console: Console, lora: str, choice: str) -> None:
    console.open(f"models_registry/lora/?view=table&q={lora}")
    expect(console.rows).to_have_count(1)
    console.page.get_by_role("checkbox", name="Select all").check()
    console.run_action("Change tags, commercial use or access of the selected files")
    console.page.get_by_label("Commercial use").select_option(label=choice)
    console.click_button("Change", exact=True)
    expect(console.page.locator("#result_list, #model-cards")).to_be_visible()
