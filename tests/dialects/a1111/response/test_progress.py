import base64

import pytest

from gpu_runner.protocol import Progress
from jobs.execution import lifecycle
from jobs.models import Preview, Signal


@pytest.fixture
def running(alice, claim):
    """Running job with 24 of 40 steps: in the second of two batches of two images, 2 of 10 steps are done."""
    job = alice.submit(n_iter=2, batch_size=2, steps=10, force_task_id="task-1")
    event = Progress(step=24, steps=40, images_done=2, batch=1, batch_step=2)
    lifecycle.progress(claim(job), event)
    Preview.objects.create(job=job, jpeg=b"a preview")
    return job


def test_idle_progress_is_exactly_0(alice) -> None:
    body = alice.get("progress").json()
    assert (body["progress"], body["eta_relative"], body["state"]["job_count"]) == (0.0, 0.0, 0)
    assert (body["current_image"], body["textinfo"], body["state"]["job_timestamp"]) == (
        None,
        None,
        "0",
    )


def test_progress_of_a_running_job_counts_batches_and_steps(alice, running) -> None:
    body = alice.get("progress").json()
    assert body["progress"] == pytest.approx(0.01 + 1 / 2 + 2 / 10 / 2)
    assert body["eta_relative"] > 0
    state = body["state"]
    assert (state["job"], state["job_no"], state["job_count"]) == ("Batch 2 out of 2", 1, 2)
    assert (state["sampling_step"], state["sampling_steps"]) == (1, 10)
    assert (state["skipped"], state["interrupted"], state["stopping_generation"]) == (False, False, False)


def test_preview_is_returned_unless_skipped(alice, running) -> None:
    assert base64.b64decode(alice.get("progress").json()["current_image"]) == b"a preview"
    assert alice.get("progress", skip_current_image="true").json()["current_image"] is None


def test_invalid_query_parameter_is_rejected(alice) -> None:
    entry = alice.get("progress", skip_current_image="perhaps").json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["query", "skip_current_image"], "type_error.bool")


def test_queued_job_is_not_idle(alice) -> None:
    alice.submit()
    body = alice.get("progress").json()
    assert (body["progress"], body["state"]["job_count"]) == (0.01, -1)


def test_progress_of_another_tenant_is_idle(charlie, running) -> None:
    body = charlie.get("progress").json()
    assert (body["progress"], body["current_image"]) == (0.0, None)


def test_interrupt_stops_running_jobs_and_cancels_queued_ones(alice, running) -> None:
    waiting = alice.submit()
    response = alice.post("interrupt")
    assert (response.status_code, response.json()) == (200, {})
    running.refresh_from_db()
    waiting.refresh_from_db()
    assert (running.state, running.signal, waiting.state) == ("running", Signal.INTERRUPT, "cancelled")
    assert alice.get("progress").json()["state"]["interrupted"] is True


def test_skip_applies_only_to_running_jobs(alice, running) -> None:
    waiting = alice.submit()
    assert alice.post("skip").content == b"null"
    running.refresh_from_db()
    waiting.refresh_from_db()
    assert (running.signal, waiting.state) == (Signal.SKIP, "queued")


@pytest.mark.parametrize("route", ["interrupt", "skip"])
def test_interrupt_and_skip_do_not_affect_other_tenants(charlie, running, route) -> None:
    assert charlie.post(route).status_code == 200
    running.refresh_from_db()
    assert running.signal == ""


def task(caller, name, **more):
    body = {"id_task": name, **more}
    return caller.client.post("/internal/progress", body, content_type="application/json").json()


def test_task_is_found_by_its_id_within_its_source(alice, running, charlie) -> None:
    status = task(alice, "task-1")
    assert (status["active"], status["queued"], status["completed"]) == (True, False, False)
    assert status["live_preview"].startswith("data:image/jpeg;base64,")
    assert task(alice, "task-1", live_preview=False)["live_preview"] is None
    for unknown in (task(charlie, "task-1"), task(alice, "other"), task(alice, None)):
        assert (unknown["active"], unknown["queued"], unknown["completed"]) == (False, False, False)
        assert unknown["textinfo"] == "Waiting..."


def test_known_preview_is_not_sent_again(alice, running) -> None:
    number = task(alice, "task-1")["id_live_preview"]
    again = task(alice, "task-1", id_live_preview=number)
    assert (again["live_preview"], again["id_live_preview"]) == (None, number)
    Preview.objects.get().save()  # a newer one
    newer = task(alice, "task-1", id_live_preview=number)
    assert newer["live_preview"] is not None
    assert newer["id_live_preview"] > number


def test_preview_id_must_be_an_integer(alice, running) -> None:
    entry = task(alice, "task-1", id_live_preview="newest")["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", "id_live_preview"], "type_error.integer")
    assert task(alice, "task-1", id_live_preview=None, live_preview=False)["id_live_preview"] == -1


def test_queued_task_has_its_queue_position(alice) -> None:
    alice.submit(force_task_id="task-1")
    alice.submit(force_task_id="task-2")
    status = task(alice, "task-2")
    assert (status["queued"], status["textinfo"]) == (True, "In queue: 2/2")


def test_pending_tasks_are_those_of_the_key(alice, charlie, running) -> None:
    assert alice.client.get("/internal/pending-tasks").json() == {"size": 1, "tasks": ["task-1"]}
    assert charlie.client.get("/internal/pending-tasks").json() == {"size": 0, "tasks": []}
