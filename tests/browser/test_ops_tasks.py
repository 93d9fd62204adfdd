"""Ten tasks of an operator, in Chromium and with the platform's real processes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openpyxl import load_workbook
from playwright.sync_api import expect
from safetensors.torch import load_file, save_file

from tests.browser.console import Console
from tests.e2e.installation import ROOT, Installation, eventually
from tests.support.web_server import WebServer, answer

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo]

REQUEST = {"prompt": "a red circle on a blue background", "width": 256, "height": 256, "steps": 8, "seed": 8}

CHINESE = re.compile("[\u4e00-\u9fff]")


def secret_on(console: Console) -> tuple[str, str]:
    return tuple(console.page.locator(f"#key-{part}").inner_text() for part in ("id", "secret"))  # type: ignore[return-value]


def generate(installation: Installation, login: tuple[str, str]) -> httpx.Response:
    return installation.client.post("/sdapi/v1/txt2img", json=REQUEST, auth=login)


def new_source(installation: Installation, name: str, **fields: object) -> tuple[str, str]:
    """Create a source and return the id and the secret of its key."""
    credentials = installation.python(f"""
import json
from access.models import AccessKey, BusinessSource
key, secret = AccessKey.issue(BusinessSource.objects.create(name={name!r}, **{fields!r}))
print(json.dumps([key.key_id, secret]))""")
    return credentials[0], credentials[1]


def queue(installation: Installation, **fields: object) -> str:
    response = installation.client.post("/api/v1/jobs", json={"prompt": REQUEST["prompt"], **fields})
    assert response.status_code in (200, 201, 202), response.text
    return str(response.json()["id"])


def fail_yesterday(installation: Installation, source: str, jobs: int) -> None:
    installation.python(f"""
from datetime import timedelta
from django.db import transaction
from access.models import BusinessSource
from gpu_runner.protocol import GenerationRequest
from jobs.admission.admit import admit
from jobs.admission.submission import Submission
from jobs.execution import lifecycle
from jobs.models import Job, Runner
request = GenerationRequest(prompt={REQUEST["prompt"]!r}, width=64, height=64, num_inference_steps=2)
source = BusinessSource.objects.get(name={source!r})
for _ in range({jobs}):
    with transaction.atomic():
        key = source.keys.first()
        job = admit(Submission(source=source, key=key, dialect="native", operation="txt2img", request=request))
        lease = lifecycle.claim(job.pk, Runner.objects.get())
        lifecycle.fail(lease, "out_of_memory", "The runner has too little memory for this.")
        job.refresh_from_db()
        ago = timedelta(days=1)
        times = {{name: getattr(job, name) - ago for name in ("created_at", "started_at", "finished_at")}}
        Job.objects.filter(pk=job.pk).update(**times)
print("null")""")


def give_up_callbacks(installation: Installation) -> None:
    """Mark all callbacks as failed, as after the last attempt."""
    installation.python("""
from jobs.models.callback import Callback
Callback.objects.update(state="dead", next_at=None)
print("null")""")


@pytest.fixture
def receiver() -> Iterator[WebServer]:
    """Web server that receives callbacks."""
    server = WebServer()
    yield server
    server.close()


def test_new_source_calls_the_api_with_its_key(console: Console, installation: Installation) -> None:
    console.open()
    console.screenshot("dashboard")
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


def test_uploaded_model_file_is_in_the_registry(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "evening.safetensors"
    tensors = load_file(ROOT / "demo/models/loras/atelier-night.safetensors")
    save_file({name: tensor * 0.5 for name, tensor in tensors.items()}, file)
    console.open()
    console.click_link("LoRAs")
    console.click_link("Upload", exact=True)
    console.page.locator("input[type=file]").set_input_files(file)
    console.screenshot("upload")
    console.click_button("Upload", exact=True)
    console.expect_text("evening was added to the registry.")
    console.screenshot("model-file")


def test_job_is_watched_and_cancelled(console: Console, installation: Installation) -> None:
    job = queue(installation, width=512, height=512, num_inference_steps=150, preview_every=2)
    console.open("jobs/job/")
    console.click_link(job[:8])
    console.expect_text("Progress")
    expect(console.page.locator('[data-live="preview"]')).to_be_visible()
    console.screenshot("job-running", wait_for_images=False)
    console.click_button("Cancel")
    console.expect_text("will stop it shortly")
    expect(console.page.locator(".job-timeline strong").last).to_have_text("cancelled")
    console.screenshot("job-cancelled")
    assert installation.client.get(f"/api/v1/jobs/{job}").json()["state"] == "cancelled"


def test_failed_jobs_of_yesterday_are_retried(console: Console, installation: Installation) -> None:
    new_source(installation, "night-shop", title="Night shop")
    fail_yesterday(installation, "night-shop", jobs=3)
    fail_yesterday(installation, "demo", jobs=1)
    console.open()
    console.click_link("Jobs")
    console.open("jobs/job/?state=failed&age=yesterday")
    console.filter_by(source="Night shop")
    expect(console.rows).to_have_count(3)
    console.screenshot("failed-yesterday")
    console.page.get_by_role("checkbox", name="Select all").check()
    console.run_action("Retry the selected failed jobs")
    console.expect_text("New jobs: 3")
    console.open("jobs/job/?age=today")
    console.filter_by(source="Night shop")
    expect(console.rows.filter(has_text="succeeded")).to_have_count(3)


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


def test_callback_is_replayed(console: Console, installation: Installation, receiver: WebServer) -> None:
    receiver.answers["/done"] = answer(400)
    job = queue(installation, num_inference_steps=2, callback_url=receiver.url("/done"))
    eventually(lambda: receiver.asked, "the callback is sent")
    give_up_callbacks(installation)
    console.open()
    console.click_link("Callbacks failing")
    expect(console.rows).to_have_count(1)
    console.screenshot("callbacks")
    console.open(f"jobs/job/{job}/change/")
    receiver.answers["/done"] = answer(200)
    before = len(receiver.asked)
    console.click_button("Send again")
    eventually(lambda: len(receiver.asked) > before, "the callback is sent again")
    console.page.reload()
    expect(console.page.get_by_role("link", name="delivered")).to_be_visible()
    console.page.get_by_role("heading", name="Callback").scroll_into_view_if_needed()
    console.screenshot("callback-delivered")


def test_runner_is_drained_and_resumed(console: Console, installation: Installation) -> None:
    console.open()
    console.click_link("Runners")
    console.page.get_by_role("checkbox", name="Select all").check()
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
    console.page.get_by_role("checkbox", name="Select all").check()
    console.run_action("Resume: accept jobs again")
    console.open(f"jobs/job/{waiting}/change/")
    expect(console.page.locator(".job-timeline strong").last).to_have_text("succeeded")


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
