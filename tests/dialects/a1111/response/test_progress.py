import base64

import pytest

from gpu_runner.protocol import Progress
from jobs.execution import lifecycle
from jobs.models import Preview, Signal


@pytest.fixture
def running(alice, claim):
    """Twelve of forty steps: the second of two batches of two pictures, two of ten steps done."""
    job = alice.submit(n_iter=2, batch_size=2, steps=10, force_task_id="task-1")
    event = Progress(step=24, steps=40, images_done=2, batch=1, batch_step=2)
    lifecycle.progress(claim(job), event)
    Preview.objects.create(job=job, jpeg=b"a preview")
    return job


def test_idle_is_exactly_zero(alice) -> None:
    answer = alice.get("progress").json()
    assert (answer["progress"], answer["eta_relative"], answer["state"]["job_count"]) == (0.0, 0.0, 0)
    assert (answer["current_image"], answer["textinfo"], answer["state"]["job_timestamp"]) == (
        None,
        None,
        "0",
    )


def test_a_running_job_is_told_by_batch_and_step(alice, running) -> None:
    answer = alice.get("progress").json()
    assert answer["progress"] == pytest.approx(0.01 + 1 / 2 + 2 / 10 / 2)
    assert answer["eta_relative"] > 0
    state = answer["state"]
    assert (state["job"], state["job_no"], state["job_count"]) == ("Batch 2 out of 2", 1, 2)
    assert (state["sampling_step"], state["sampling_steps"]) == (1, 10)
    assert (state["skipped"], state["interrupted"], state["stopping_generation"]) == (False, False, False)


def test_the_preview_comes_unless_it_is_skipped(alice, running) -> None:
    assert base64.b64decode(alice.get("progress").json()["current_image"]) == b"a preview"
    assert alice.get("progress", skip_current_image="true").json()["current_image"] is None


def test_a_bad_query_is_422(alice) -> None:
    entry = alice.get("progress", skip_current_image="perhaps").json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["query", "skip_current_image"], "type_error.bool")


def test_somebody_whose_job_waits_is_not_idle(alice) -> None:
    alice.submit()
    answer = alice.get("progress").json()
    assert (answer["progress"], answer["state"]["job_count"]) == (0.01, -1)


def test_charlie_sees_an_idle_server(charlie, running) -> None:
    answer = charlie.get("progress").json()
    assert (answer["progress"], answer["current_image"]) == (0.0, None)


def test_an_interrupt_keeps_what_runs_and_cancels_what_waits(alice, running) -> None:
    waiting = alice.submit()
    response = alice.post("interrupt")
    assert (response.status_code, response.json()) == (200, {})
    running.refresh_from_db()
    waiting.refresh_from_db()
    assert (running.state, running.signal, waiting.state) == ("running", Signal.INTERRUPT, "cancelled")
    assert alice.get("progress").json()["state"]["interrupted"] is True


def test_a_skip_is_for_what_runs(alice, running) -> None:
    waiting = alice.submit()
    assert alice.post("skip").content == b"null"
    running.refresh_from_db()
    waiting.refresh_from_db()
    assert (running.signal, waiting.state) == (Signal.SKIP, "queued")


@pytest.mark.parametrize("order", ["interrupt", "skip"])
def test_charlie_stops_nothing_of_alices(charlie, running, order) -> None:
    assert charlie.post(order).status_code == 200
    running.refresh_from_db()
    assert running.signal == ""


def task(caller, name, **more):
    body = {"id_task": name, **more}
    return caller.client.post("/internal/progress", body, content_type="application/json").json()


def test_a_task_is_found_by_its_clients_id(alice, running, charlie) -> None:
    told = task(alice, "task-1")
    assert (told["active"], told["queued"], told["completed"]) == (True, False, False)
    assert told["live_preview"].startswith("data:image/jpeg;base64,")
    assert task(alice, "task-1", live_preview=False)["live_preview"] is None
    for stranger in (task(charlie, "task-1"), task(alice, "other"), task(alice, None)):
        assert (stranger["active"], stranger["queued"], stranger["completed"]) == (False, False, False)
        assert stranger["textinfo"] == "Waiting..."


def test_a_preview_that_the_client_has_is_not_sent_again(alice, running) -> None:
    number = task(alice, "task-1")["id_live_preview"]
    again = task(alice, "task-1", id_live_preview=number)
    assert (again["live_preview"], again["id_live_preview"]) == (None, number)
    Preview.objects.get().save()  # a newer one
    newer = task(alice, "task-1", id_live_preview=number)
    assert newer["live_preview"] is not None
    assert newer["id_live_preview"] > number


def test_a_preview_has_a_whole_number(alice, running) -> None:
    entry = task(alice, "task-1", id_live_preview="newest")["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", "id_live_preview"], "type_error.integer")
    assert task(alice, "task-1", id_live_preview=None, live_preview=False)["id_live_preview"] == -1


def test_a_waiting_task_is_told_its_place(alice) -> None:
    alice.submit(force_task_id="task-1")
    alice.submit(force_task_id="task-2")
    told = task(alice, "task-2")
    assert (told["queued"], told["textinfo"]) == (True, "In queue: 2/2")


def test_pending_tasks_are_ones_own(alice, charlie, running) -> None:
    assert alice.client.get("/internal/pending-tasks").json() == {"size": 1, "tasks": ["task-1"]}
    assert charlie.client.get("/internal/pending-tasks").json() == {"size": 0, "tasks": []}
