"""Six tasks of a business user in Chromium, with the platform's real processes."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import StorageState, expect

from tests.browser.console import Console
from tests.browser.preparation import (
    PROMPT,
    Login,
    drawn,
    give_up_callbacks,
    new_source,
    new_tenant,
    queue,
)
from tests.e2e.installation import Installation, eventually
from tests.support.judge import judge
from tests.support.web_server import WebServer, answer

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo, pytest.mark.slow]

REQUEST = {"prompt": PROMPT, "width": 256, "height": 256, "num_inference_steps": 8, "seed": 8}
DESKTOP = {"width": 1440, "height": 900}


@pytest.fixture(scope="module")
def login(installation: Installation) -> Login:
    """Key of the bakery, which has a job. Another source has one that the bakery must not see."""
    login = new_source(installation, "bakery", title="Bakery", images_per_day=500)
    drawn(installation, **REQUEST | {"prompt": "a secret of the demo source", "num_inference_steps": 2})
    drawn(installation, login, **REQUEST)
    return login


@pytest.fixture(scope="module")
def tenant_session(installation: Installation, login: Login) -> StorageState:
    """Cookies of the signed-in user."""
    return new_tenant(installation, "bakery", "baker", "a long password of the bakery")


@pytest.fixture
def tenant(visit: Callable[..., Console], tenant_session: StorageState) -> Console:
    return visit(storage_state=tenant_session, viewport=DESKTOP)


def test_tenant_sees_only_its_own(tenant: Console) -> None:
    tenant.open()
    expect(tenant.page.get_by_role("link", name="Usage", exact=False).first).to_be_visible()
    for hidden in ("Runners", "Audit trail", "Business sources", "secret of the demo source"):
        expect(tenant.page.get_by_text(hidden)).to_have_count(0)
    tenant.screenshot("tenant-overview")
    for page in ("jobs/job/", "gallery/"):
        tenant.open(page)
        assert "secret of the demo source" not in tenant.page.content()
        assert "Bakery" in tenant.page.content()


def test_new_key_runs_the_shown_curl(tenant: Console, tmp_path: Path) -> None:
    tenant.open("keys/")
    tenant.screenshot("tenant-keys")
    tenant.click_link("New key")
    tenant.page.get_by_label("Note").fill("till")
    tenant.click_button("Create the key")
    secret = tenant.page.locator("#key-secret").inner_text()
    tenant.open("keys/")
    tenant.page.get_by_role("listitem").filter(has_text="till").get_by_role(
        "link", name="API with this key"
    ).click()
    script = tenant.page.locator("#code-curl").inner_text()
    tenant.screenshot("tenant-api")
    environment = {"PATH": os.environ["PATH"], "SECRET": secret}
    subprocess.run(["sh", "-c", script], env=environment, cwd=tmp_path, check=True)
    verdict = judge(Image.open(tmp_path / "image.png").convert("RGB"))
    assert (verdict.color, verdict.shape, verdict.background) == ("red", "circle", "blue")


def test_image_is_found_and_varied(tenant: Console) -> None:
    tenant.open("gallery/?words=circle")
    tenant.page.get_by_role("checkbox", name="Select image 1").first.check()
    tenant.click_button("Vary")
    expect(tenant.page.get_by_alt_text("image 0")).to_be_visible()
    tenant.screenshot("tenant-varied")


def test_usage_is_read_and_the_statement_downloaded(tenant: Console, login: Login) -> None:
    tenant.open("usage/")
    expect(tenant.page.get_by_text("Images this month")).to_be_visible()
    tenant.screenshot("tenant-usage")
    with tenant.page.expect_download() as download:
        tenant.click_link("CSV", exact=True)
    with Path(download.value.path()).open(encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    assert "bakery" in download.value.suggested_filename
    assert sum(int(line["images"]) for line in lines if line["key"] == login[0]) >= 1


def test_failed_callback_is_sent_again(
    tenant: Console, installation: Installation, login: Login, web_server: WebServer
) -> None:
    web_server.answers["/done"] = answer(500)
    body = REQUEST | {"num_inference_steps": 2, "callback_url": web_server.url("/done")}
    job = queue(installation, login, **body)
    eventually(lambda: web_server.asked, "the callback is sent")
    give_up_callbacks(installation, job)
    web_server.answers["/done"] = answer(200)
    tenant.open()
    expect(tenant.page.get_by_role("heading", name="Callbacks that failed permanently")).to_be_visible()
    tenant.click_link("Callbacks failing")
    tenant.page.get_by_role("checkbox", name="Select all").check()
    tenant.run_action("Send the selected callbacks again")
    tenant.expect_text("Callbacks that will be sent again: 1")
    eventually(lambda: len(web_server.asked) > 1, "the callback is sent again")


def test_api_page_sends_its_example(tenant: Console, login: Login) -> None:
    tenant.open("apis/native/")
    tenant.page.get_by_role("tab", name="Python").click()
    expect(tenant.page.locator("#code-python")).to_be_visible()
    expect(tenant.page.locator("#code-curl")).to_be_hidden()
    tenant.click_button("Send this request")
    expect(tenant.page.locator("#try-image")).to_be_visible()
    expect(tenant.page.locator("#try-state")).to_have_text("succeeded")
    tenant.screenshot("tenant-api-tried")
    tenant.click_link("Open in the playground")
    for name, value in {"prompt": PROMPT, "num_inference_steps": "20", "seed": "8"}.items():
        expect(tenant.page.locator(f"[name={name}]")).to_have_value(value)
