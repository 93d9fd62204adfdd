"""Six tasks of a business user in Chromium, with the platform's real processes; and axe on the pages made for it."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.browser.console import Console
from tests.browser.test_accessibility import violations_on
from tests.e2e.installation import Installation, eventually
from tests.support.judge import judge
from tests.support.web_server import WebServer, answer

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo]

PASSWORD = "a long password of the bakery"
PROMPT = "a red circle on a blue background"
REQUEST = {"prompt": PROMPT, "width": 256, "height": 256, "num_inference_steps": 8, "seed": 8}
PAGES = ("", "keys/", "usage/", "models/", "apis/native/", "apis/volcengine/", "nowhere/")
SIZES = {"desktop": {"width": 1440, "height": 900}, "telephone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def login(installation: Installation) -> tuple[str, str]:
    """Key id and secret of the bakery. It has a user; another source has a job that the bakery must not see."""
    key_id, secret = installation.python(f"""
import json
from django.contrib.auth.models import Group, User
from access.models import AccessKey, BusinessSource, Membership
source = BusinessSource.objects.create(name="bakery", title="Bakery", images_per_day=500)
user = User.objects.create_user("baker", password={PASSWORD!r}, is_staff=True)
user.groups.add(Group.objects.get(name="tenant"))
Membership.objects.create(user=user, source=source)
key, secret = AccessKey.issue(source, note="their shop")
print(json.dumps([key.key_id, secret]))""")
    for auth, prompt in ((None, "a secret of the demo source"), ((key_id, secret), PROMPT)):
        given = {} if auth is None else {"auth": auth}
        body = REQUEST | {"prompt": prompt}
        job = installation.client.post("/api/v1/jobs", json=body, **given).json()
        eventually(lambda: _state(installation, job["url"], given) == "succeeded", "the job succeeds")  # noqa: B023
    return key_id, secret


def _state(installation: Installation, url: str, given: dict) -> str:
    return str(installation.client.get(url, **given).json()["state"])


@pytest.fixture(scope="module")
def tenant_session(chromium: Browser, installation: Installation, login: tuple[str, str]) -> object:
    """Cookies of the signed-in user."""
    context = chromium.new_context(viewport=SIZES["desktop"], locale="en-US")
    page = context.new_page()
    page.goto(f"{installation.base_url}/admin/")
    page.get_by_label("Username").fill("baker")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Images today")).to_be_visible()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def tenant(visit: Callable[..., Console], tenant_session: object) -> Console:
    return visit(storage_state=tenant_session, viewport=SIZES["desktop"])


@pytest.fixture
def receiver() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


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


def test_usage_is_read_and_the_statement_downloaded(tenant: Console, login: tuple[str, str]) -> None:
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
    tenant: Console, installation: Installation, login: tuple[str, str], receiver: WebServer
) -> None:
    receiver.answers["/done"] = answer(500)
    body = REQUEST | {"num_inference_steps": 2, "callback_url": receiver.url("/done")}
    assert installation.client.post("/api/v1/jobs", json=body, auth=login).status_code == 201
    eventually(lambda: receiver.asked, "the callback is sent")
    installation.python("""
from jobs.models.callback import Callback
Callback.objects.filter(job__source__name="bakery").update(state="dead", next_at=None)
print("null")""")
    receiver.answers["/done"] = answer(200)
    tenant.open()
    expect(tenant.page.get_by_role("heading", name="Callbacks that failed permanently")).to_be_visible()
    tenant.click_link("Callbacks failing")
    tenant.page.get_by_role("checkbox", name="Select all").check()
    tenant.run_action("Send the selected callbacks again")
    tenant.expect_text("Callbacks that will be sent again: 1")
    eventually(lambda: len(receiver.asked) > 1, "the callback is sent again")


def test_api_page_sends_its_example(tenant: Console, login: tuple[str, str]) -> None:
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


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_a_tenant_are_accessible_and_fit(
    visit: Callable[..., Console], tenant_session: object, size: str, scheme: str
) -> None:
    tenant = visit(storage_state=tenant_session, viewport=SIZES[size], color_scheme=scheme)
    found, widths = {}, {}
    for page in PAGES:
        tenant.open(page)
        found[page] = violations_on(tenant)
        widths[page] = tenant.page.evaluate("document.scrollingElement.scrollWidth")
        tenant.screenshot(f"tenant-{page.strip('/').replace('/', '-') or 'overview'}-{size}-{scheme}")
    assert {page: texts for page, texts in found.items() if texts} == {}
    assert {page: px for page, px in widths.items() if px > SIZES[size]["width"]} == {}
