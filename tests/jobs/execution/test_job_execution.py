import io
import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection
from PIL import Image

from jobs.admission.admit import admit
from jobs.execution import job_execution, lifecycle
from jobs.images import storage
from jobs.models import Job, Preview, Runner, Signal, State
from jobs.tasks import run_job
from tests.support import fake_runner as behaviors
from tests.support.fake_runner import FakeRunner, png

pytestmark = pytest.mark.slow


@pytest.fixture
def files(storage_folder) -> Callable[[], list]:
    return lambda: [path for path in storage_folder.rglob("*") if path.is_file()]


@pytest.fixture
def execute(submission, live_runner: Runner, fake_runner: FakeRunner) -> Callable[..., Job]:
    """``execute(behavior)``: admits and claims a job, and executes it on a fake runner with this behavior."""

    def execute(behavior=behaviors.generates, job: Job | None = None, **fields) -> Job:
        fake_runner.behavior = behavior
        job = job or admit(submission(**fields))
        lease = lifecycle.claim(job.pk, live_runner)
        run_job(str(lease.job_id), lease.attempt)
        job.refresh_from_db()
        return job

    return execute


@pytest.fixture
def running_job(request, transactional_db, submission, live_runner, fake_runner):
    """A job executed by a worker thread. By default its runner reports one step and waits for a cancellation."""
    fake_runner.behavior = getattr(request, "param", behaviors.generates_until_cancelled)
    job = admit(submission(num_images=2))
    lease = lifecycle.claim(job.pk, live_runner)

    def work() -> None:
        run_job(str(lease.job_id), lease.attempt)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    yield RunningJob(job, worker)
    fake_runner.hang_up()
    worker.join()


class RunningJob:
    def __init__(self, job: Job, worker: threading.Thread) -> None:
        self.job = job
        self.worker = worker

    def wait_for(self, condition: Callable[[Job], bool]) -> None:
        while not condition(self.job):
            assert self.worker.is_alive()
            time.sleep(0.01)
            self.job.refresh_from_db()

    def end(self) -> Job:
        self.worker.join()
        self.job.refresh_from_db()
        return self.job


# Successful jobs


def test_job_succeeds_with_all_images(execute, files, postings):
    job = execute(num_images=3, seed=41)
    assert (job.state, job.images_done, job.error_code) == (State.SUCCEEDED, 3, "")
    assert [(output.index, output.seed) for output in job.outputs.all()] == [(0, 41), (1, 42), (2, 43)]
    assert len(files()) == 3
    assert postings(job) == ["reserve", "release", "settle"]
    assert job.cost == job.cost_estimate
    assert not Preview.objects.exists()


def test_stored_image_matches_its_row(execute):
    output = execute(seed=41).outputs.get()
    data = storage.read_output(output)
    with Image.open(io.BytesIO(data)) as image:
        assert image.text["parameters"] == output.infotext
        assert (image.width, image.height) == (output.width, output.height)
    assert len(data) == output.size_bytes
    assert "Seed: 41" in output.infotext


@pytest.mark.parametrize(("requested", "kind"), [("jpeg", "JPEG"), ("webp", "WEBP")])
def test_image_has_the_requested_format(requested, kind, execute):
    output = execute(output_format=requested).outputs.get()
    with Image.open(io.BytesIO(storage.read_output(output))) as image:
        assert image.format == kind
    assert output.content_type == f"image/{requested}"


def test_run_request_contains_request_checkpoint_and_input_images(execute, fake_runner, checkpoint):
    stored = storage.store_input(png())
    job = execute(task="img2img", init_images=(stored,))
    (run_request,) = fake_runner.run_requests
    assert run_request.request == job.generation_request
    assert (run_request.checkpoint.path, run_request.checkpoint.sha256) == (
        checkpoint.path,
        checkpoint.sha256,
    )
    assert list(run_request.inputs) == [stored.sha256]


def test_connection_is_reused_for_the_next_job(execute, fake_runner):
    for _job in range(3):
        assert execute().state == State.SUCCEEDED
    assert len(fake_runner.connections) == 1


def test_every_attempt_has_its_own_run_request_id(execute, fake_runner):
    job = execute(behaviors.dies_mid_stream)
    execute(behaviors.generates, job)
    assert list(fake_runner.streams) == [f"{job.pk}-1", f"{job.pk}-2"]


# Failures of runners


@pytest.mark.parametrize(
    "behavior", [behaviors.dies_mid_stream, behaviors.sends_invalid_events, behaviors.breaks]
)
def test_job_is_requeued_when_its_runner_dies(behavior, execute, files, postings):
    job = execute(behavior)
    assert (job.state, job.runner_deaths, job.runner) == (State.QUEUED, 1, None)
    assert postings(job) == ["reserve"]
    assert files() == []


def test_runner_death_before_acceptance_is_not_counted_for_the_job(execute, live_runner, files, postings):
    job = execute(behaviors.dies_before_the_first_event)
    assert (job.state, job.runner_deaths, job.transitions.last().note) == (
        State.QUEUED,
        0,
        lifecycle.NEVER_ACCEPTED,
    )
    live_runner.refresh_from_db()
    assert live_runner.problem
    assert postings(job) == ["reserve"]


def test_job_fails_after_the_second_runner_death(execute, files, postings):
    job = execute(behaviors.dies_mid_stream, execute(behaviors.dies_mid_stream))
    assert (job.state, job.error_code) == (State.FAILED, lifecycle.POISONED)
    assert postings(job) == ["reserve", "release"]
    assert files() == []


def test_retried_job_stores_each_image_once(execute, files):
    job = execute(behaviors.generates, execute(behaviors.dies_mid_stream))
    assert (job.state, job.attempt, job.outputs.count()) == (State.SUCCEEDED, 2, 1)
    assert len(files()) == 1


@pytest.mark.parametrize("behavior", [behaviors.is_busy, behaviors.drops_the_job, behaviors.shuts_down])
def test_unexecuted_job_is_requeued_without_a_runner_death(behavior, execute, postings):
    job = execute(behavior)
    assert (job.state, job.runner_deaths) == (State.QUEUED, 0)
    assert postings(job) == ["reserve"]


def test_job_of_an_unreachable_runner_is_requeued_without_a_runner_death(execute, fake_runner):
    fake_runner.close()
    job = execute()
    assert (job.state, job.runner_deaths) == (State.QUEUED, 0)


def test_failure_of_the_runner_fails_the_job_with_its_error(execute, files, postings):
    job = execute(behaviors.fails_with_oom)
    assert (job.state, job.error_code) == (State.FAILED, "out_of_memory")
    assert job.error_message == "The image is too large for this runner."
    assert postings(job) == ["reserve", "release"]
    assert files() == []


def test_reason_of_a_rejected_run_request_is_not_shown_to_the_client(execute, postings):
    job = execute(behaviors.rejects_the_token)
    assert (job.state, job.error_code) == (State.FAILED, "runner_refused")
    assert "401" not in job.error_message
    assert postings(job) == ["reserve", "release"]


def test_wrong_token_fails_the_job(execute, settings):
    settings.RUNNER_TOKEN = "another"
    assert execute().error_code == "runner_refused"


def test_missing_image_is_an_internal_error(execute, files):
    job = execute(behaviors.omits_an_image)
    assert (job.state, job.error_code) == (State.FAILED, "internal")
    assert "Traceback" not in job.error_message
    assert files() == []


def test_lost_input_file_is_an_internal_error(execute, storage_folder, files):
    stored = storage.store_input(png())
    files()[0].unlink()
    job = execute(task="img2img", init_images=(stored,))
    assert (job.state, job.error_code) == (State.FAILED, "internal")
    assert str(storage_folder) not in job.error_message


def test_job_on_a_silent_runner_times_out(execute, fake_runner, settings, monkeypatch, postings):
    settings.JOB_TIMEOUT_S = 0.3
    monkeypatch.setattr(job_execution, "GRACE_S", 0.1)
    job = execute(behaviors.is_silent)
    assert (job.state, job.error_code, job.runner_deaths) == (State.FAILED, "timeout", 0)
    assert fake_runner.cancellations == [(f"{job.pk}-1", "discard")]
    assert postings(job) == ["reserve", "release"]


# Running jobs


def test_progress_and_preview_are_stored_while_the_job_runs(running_job):
    running_job.wait_for(lambda job: job.step == 1)
    assert bytes(Preview.objects.get(job=running_job.job).jpeg) == b"a small jpeg"


@pytest.mark.parametrize("running_job", [behaviors.sends_two_steps], indirect=True)
def test_preview_is_stored_although_the_next_step_follows_immediately(running_job):
    running_job.wait_for(lambda job: job.step == 2)
    assert bytes(Preview.objects.get(job=running_job.job).jpeg) == b"a small jpeg"


def test_cancellation_is_sent_to_the_runner(running_job, fake_runner, files, postings):
    running_job.wait_for(lambda job: job.step == 1)
    lifecycle.cancel(running_job.job.pk)
    job = running_job.end()
    assert job.state == State.CANCELLED
    assert fake_runner.cancellations == [(f"{job.pk}-1", "discard")]
    assert postings(job) == ["reserve", "release", "settle"]  # for the step that was run
    assert files() == []
    assert not Preview.objects.exists()


def test_interrupted_job_keeps_its_images_and_is_billed_for_them(running_job, postings):
    running_job.wait_for(lambda job: job.step == 1)
    lifecycle.signal(running_job.job.pk, Signal.INTERRUPT)
    job = running_job.end()
    assert (job.state, job.interrupted, job.outputs.count()) == (State.SUCCEEDED, True, 1)
    assert postings(job) == ["reserve", "release", "settle"]
    assert 0 < job.cost < job.cost_estimate


def test_worker_without_lease_stores_nothing(running_job, files):
    running_job.wait_for(lambda job: job.step == 1)
    lifecycle.requeue(lifecycle.Lease(running_job.job.pk, 1), note="the lease expired")
    job = running_job.end()
    assert (job.state, job.attempt, job.outputs.count()) == (State.QUEUED, 1, 0)
    assert files() == []


@pytest.mark.parametrize("running_job", [behaviors.is_silent], indirect=True)
def test_ignored_cancellation_ends_after_a_grace_period(running_job, fake_runner, monkeypatch):
    monkeypatch.setattr(job_execution, "GRACE_S", 0.1)
    lifecycle.cancel(running_job.job.pk)
    job = running_job.end()
    assert job.state == State.CANCELLED
    assert fake_runner.cancellations == [(f"{job.pk}-1", "discard")]
