"""Tasks of an operator with jobs: watch, cancel, retry, send callbacks again, reproduce."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console
from tests.browser.preparation import drawn, fail_yesterday, give_up_callbacks, new_source, queue
from tests.e2e.installation import Installation, eventually
from tests.support.web_server import WebServer, answer

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo, pytest.mark.slow]


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


def test_list_of_jobs_refreshes_itself_and_keeps_the_selection(
    console: Console, installation: Installation
) -> None:
    request = {"prompt": "a violet star", "width": 64, "height": 64, "num_inference_steps": 2}
    first = installation.client.post("/api/v1/jobs", json=request).json()["id"]
    console.open("jobs/job/")
    console.page.evaluate("window.isSamePage = true")
    second = installation.client.post("/api/v1/jobs", json=request).json()["id"]
    expect(
        console.page.get_by_role("link", name=second[:8])
    ).to_be_visible()  # without a selection, rows move

    row = console.page.locator(f'#result_list tbody:has(input[value="{first}"])')
    row.get_by_role("checkbox").check()
    long = installation.client.post(
        "/api/v1/jobs", json=request | {"width": 512, "height": 512, "num_inference_steps": 150}
    ).json()["id"]
    expect(row.get_by_text("succeeded")).to_be_visible()
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(console.page.get_by_role("link", name=long[:8])).to_have_count(0)
    row.get_by_role("checkbox").uncheck()
    cancel = console.page.get_by_role("button", name=f"Cancel job {long[:8]}")
    expect(cancel).to_be_visible()
    assert console.page.evaluate("window.isSamePage")

    cancel.click()
    console.expect_text("will stop it shortly")
    assert console.page.url.endswith("/jobs/job/")


def test_jobs_that_failed_yesterday_are_found_by_their_error_and_retried(
    console: Console, installation: Installation
) -> None:
    new_source(installation, "night-shop", title="Night shop")
    fail_yesterday(installation, "night-shop", jobs=3)
    fail_yesterday(installation, "demo", jobs=1)
    console.open("jobs/job/?state=failed&age=yesterday")
    console.filter_by(source="Night shop", error="out_of_memory")
    expect(console.rows).to_have_count(3)
    expect(console.rows.first).to_contain_text("too little memory")
    console.screenshot("failed-yesterday")
    console.page.get_by_role("checkbox", name="Select all").check()
    console.run_action("Retry the selected failed jobs")
    console.expect_text("New jobs: 3")
    console.open("jobs/job/?age=today")
    console.filter_by(source="Night shop")
    expect(console.rows.filter(has_text="succeeded")).to_have_count(3)


def test_callback_is_replayed(console: Console, installation: Installation, web_server: WebServer) -> None:
    web_server.answers["/done"] = answer(400)
    login = new_source(installation, "silent-shop", title="Silent shop")
    job = queue(installation, login, num_inference_steps=2, callback_url=web_server.url("/done"))
    eventually(lambda: web_server.asked, "the callback is sent")
    give_up_callbacks(installation, job)
    console.open()
    console.click_link("Callbacks failing")
    expect(console.rows.filter(has_text=job[:8])).to_have_count(1)
    console.screenshot("callbacks")
    console.open(f"jobs/job/{job}/change/")
    web_server.answers["/done"] = answer(200)
    before = len(web_server.asked)
    console.click_button("Send again")
    eventually(lambda: len(web_server.asked) > before, "the callback is sent again")
    console.page.reload()
    expect(console.page.get_by_role("link", name="delivered")).to_be_visible()
    console.page.get_by_role("heading", name="Callback").scroll_into_view_if_needed()
    console.screenshot("callback-delivered")


def test_output_is_drawn_again_and_compared(console: Console, installation: Installation) -> None:
    job = drawn(installation, width=256, height=256, num_inference_steps=8, seed=8)
    console.open(f"jobs/job/{job}/change/")
    console.click_button("Reproduce")
    console.expect_text("The new job was created.")
    expect(console.page.locator(".job-timeline strong").last).to_have_text("succeeded")
    comparison = console.page.locator("#job-reproduction")
    expect(comparison).to_contain_text("The same file, byte for byte.")
    expect(comparison.get_by_alt_text("original")).to_be_visible()
    expect(comparison.get_by_alt_text("reproduction")).to_be_visible()
    comparison.scroll_into_view_if_needed()
    console.screenshot("reproduction")
