"""Ten things that those who run a platform do, in Chromium, with the real processes behind the pages."""

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

PICTURE = {"prompt": "a red circle on a blue background", "width": 256, "height": 256, "steps": 8, "seed": 8}

CHINESE = re.compile("[\u4e00-\u9fff]")


def secret_on(console: Console) -> tuple[str, str]:
    return tuple(console.page.locator(f"#key-{part}").inner_text() for part in ("id", "secret"))  # type: ignore[return-value]


def draw(installation: Installation, login: tuple[str, str]) -> httpx.Response:
    return installation.client.post("/sdapi/v1/txt2img", json=PICTURE, auth=login)


def new_source(installation: Installation, name: str, **fields: object) -> tuple[str, str]:
    """Its key, as id and secret."""
    made = installation.python(f"""
import json
from access.models import AccessKey, BusinessSource
key, secret = AccessKey.issue(BusinessSource.objects.create(name={name!r}, **{fields!r}))
print(json.dumps([key.key_id, secret]))""")
    return made[0], made[1]


def queue(installation: Installation, **wanted: object) -> str:
    done = installation.client.post("/api/v1/jobs", json={"prompt": PICTURE["prompt"], **wanted})
    assert done.status_code in (200, 201, 202), done.text
    return str(done.json()["id"])


def fail_yesterday(installation: Installation, source: str, jobs: int) -> None:
    installation.python(f"""
from datetime import timedelta
from django.db import transaction
from access.models import BusinessSource
from gpu_runner.protocol import GenerationRequest
from jobs import lifecycle
from jobs.admission import Submission, admit
from jobs.models import Job, Runner
request = GenerationRequest(prompt={PICTURE["prompt"]!r}, width=64, height=64, num_inference_steps=2)
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
    """As after the last attempt, hours later."""
    installation.python("""
from jobs.callbacks.models import Callback
Callback.objects.update(state="dead", next_at=None)
print("null")""")


@pytest.fixture
def receiver() -> Iterator[WebServer]:
    """The web server of a business, which waits for its pictures."""
    server = WebServer()
    yield server
    server.close()


def test_new_business_calls_with_its_key(console: Console, installation: Installation) -> None:
    console.open()
    console.shot("dashboard")
    console.follow("Business sources")
    console.add()
    console.page.get_by_role("textbox", name="Name", exact=False).first.fill("flower-shop")
    console.page.get_by_label("Title").fill("Flower shop")
    console.shot("new-source")
    console.press("Save and continue")
    console.follow("New key")
    console.page.get_by_label("Note").fill("their web site")
    console.shot("new-key")
    console.press("Create the key")
    console.says("The secret is shown this once.")
    console.shot("secret")

    drawn = draw(installation, secret_on(console))
    assert drawn.status_code == 200, drawn.text
    console.open("jobs/job/")
    job = console.page.get_by_role("row").filter(has_text="Flower shop")
    expect(job.get_by_text("succeeded")).to_be_visible()
    console.shot("jobs")
    job.get_by_role("link").last.click()
    expect(console.page.get_by_alt_text("picture 0")).to_be_visible()
    console.shot("job")


def test_uploaded_model_file_is_in_the_registry(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "evening.safetensors"
    tensors = load_file(ROOT / "demo/models/loras/atelier-night.safetensors")
    save_file({name: tensor * 0.5 for name, tensor in tensors.items()}, file)
    console.open()
    console.follow("LoRAs")
    console.follow("Upload", exact=True)
    console.page.locator("input[type=file]").set_input_files(file)
    console.shot("upload")
    console.press("Upload", exact=True)
    console.says("evening is in the registry.")
    console.shot("model-file")


def test_job_is_watched_and_cancelled(console: Console, installation: Installation) -> None:
    job = queue(installation, width=512, height=512, num_inference_steps=150, preview_every=2)
    console.open("jobs/job/")
    console.follow(job[:8])
    console.says("Progress")
    expect(console.page.locator('[data-live="preview"]')).to_be_visible()
    console.shot("job-running", wait_for_pictures=False)
    console.press("Cancel")
    console.says("told to stop")
    expect(console.page.locator(".job-timeline strong").last).to_have_text("cancelled")
    console.shot("job-cancelled")
    assert installation.client.get(f"/api/v1/jobs/{job}").json()["state"] == "cancelled"


def test_failed_jobs_of_yesterday_are_retried(console: Console, installation: Installation) -> None:
    new_source(installation, "night-shop", title="Night shop")
    fail_yesterday(installation, "night-shop", jobs=3)
    fail_yesterday(installation, "demo", jobs=1)
    console.open()
    console.follow("Jobs")
    console.open("jobs/job/?state=failed&age=yesterday")
    console.narrow(source="Night shop")
    expect(console.rows).to_have_count(3)
    console.shot("failed-yesterday")
    console.page.get_by_role("checkbox", name="Select all").check()
    console.act("Retry the selected jobs that failed")
    console.says("New jobs: 3")
    console.open("jobs/job/?age=today")
    console.narrow(source="Night shop")
    expect(console.rows.filter(has_text="succeeded")).to_have_count(3)


def test_raised_quota_lets_the_next_call_pass(console: Console, installation: Installation) -> None:
    login = new_source(installation, "small-shop", title="Small shop", images_per_day=1)
    assert draw(installation, login).status_code == 200
    assert draw(installation, login).status_code == 429
    console.open("access/businesssource/")
    console.follow("small-shop")
    console.page.get_by_label("Pictures a day").first.fill("20")
    console.shot("quota")
    console.press("Save", exact=True)
    console.says("was changed successfully")
    assert draw(installation, login).status_code == 200


def test_rotated_key_has_a_new_secret_and_no_old_one(console: Console, installation: Installation) -> None:
    key_id, old = new_source(installation, "leaky-shop")
    console.open()
    console.follow("Access keys")
    console.follow(key_id)
    console.follow("New secret")
    console.shot("rotate")
    console.press("Rotate")
    shown_id, new = secret_on(console)
    assert shown_id == key_id
    assert draw(installation, (key_id, old)).status_code == 401
    assert draw(installation, (key_id, new)).status_code == 200


def test_callback_is_replayed(console: Console, installation: Installation, receiver: WebServer) -> None:
    receiver.answers["/done"] = answer(400)
    job = queue(installation, num_inference_steps=2, callback_url=receiver.url("/done"))
    eventually(lambda: receiver.asked, "the callback comes")
    give_up_callbacks(installation)
    console.open()
    console.follow("Callbacks failing")
    expect(console.rows).to_have_count(1)
    console.shot("callbacks")
    console.open(f"jobs/job/{job}/change/")
    receiver.answers["/done"] = answer(200)
    before = len(receiver.asked)
    console.press("Send again")
    eventually(lambda: len(receiver.asked) > before, "it comes again")
    console.page.reload()
    expect(console.page.get_by_role("link", name="delivered")).to_be_visible()
    console.page.get_by_role("heading", name="Callback").scroll_into_view_if_needed()
    console.shot("callback-delivered")


def test_runner_is_drained_and_resumed(console: Console, installation: Installation) -> None:
    console.open()
    console.follow("Runners")
    console.page.get_by_role("checkbox", name="Select all").check()
    console.act("Drain: finish what it has, take nothing new")
    console.open()
    expect(console.page.get_by_role("row").filter(has_text="local").get_by_text("draining")).to_be_visible()
    waiting = queue(installation, num_inference_steps=2)
    console.open("jobs/runner/")
    console.shot("runner-draining")
    console.open(f"jobs/job/{waiting}/change/")
    console.says("Why not yet?")
    console.shot("why-not-yet")

    console.open("jobs/runner/")
    console.page.get_by_role("checkbox", name="Select all").check()
    console.act("Resume: take work again")
    console.open(f"jobs/job/{waiting}/change/")
    expect(console.page.locator(".job-timeline strong").last).to_have_text("succeeded")


def test_statement_of_a_month_is_read_and_kept(
    console: Console, installation: Installation, tmp_path: Path
) -> None:
    login = new_source(installation, "paying-shop", title="Paying shop")
    for _ in range(2):
        assert draw(installation, login).status_code == 200
    console.open("access/businesssource/")
    console.follow("paying-shop")
    console.follow("Statement")
    month = console.page.get_by_label("Month").input_value()
    expect(console.page.locator("dl")).to_contain_text("Cost units")
    console.shot("statement")
    kept = {name: save(console, name, tmp_path) for name in ("CSV", "XLSX")}
    lines = list(csv.reader(kept["CSV"].read_text("utf-8-sig").splitlines()))
    sheet = load_workbook(kept["XLSX"]).active
    assert sheet is not None
    assert all(month in file.name for file in kept.values())
    assert any("atelier-shapes" in line for line in lines)
    assert any("atelier-shapes" in row for row in sheet.iter_rows(values_only=True))


def save(console: Console, name: str, folder: Path) -> Path:
    with console.page.expect_download() as coming:
        console.follow(name, exact=True)
    path = folder / coming.value.suggested_filename
    coming.value.save_as(path)
    return path


def test_console_speaks_chinese(console: Console) -> None:
    console.open()
    console.page.get_by_text("unfold_more").click()
    console.shot("menu")
    console.press("简体中文")
    expect(console.page.get_by_role("link", name="业务来源")).to_be_visible()
    console.shot("chinese")
    for path in ("jobs/job/", "jobs/runner/", "access/businesssource/", "playground/"):
        console.open(path)
        for heading in console.page.get_by_role("heading").all_inner_texts():
            assert CHINESE.search(heading), f"{path}: {heading}"
