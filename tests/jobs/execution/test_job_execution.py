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
from tests.support import fake_runner as behaviours
from tests.support.fake_runner import FakeRunner, png

pytestmark = pytest.mark.slow


@pytest.fixture
def files(storage_folder) -> Callable[[], list]:
    return lambda: [path for path in storage_folder.rglob("*") if path.is_file()]


@pytest.fixture
def follow(submission, live_runner: Runner, fake_runner: FakeRunner) -> Callable[..., Job]:
    """Admits a job, claims it, and follows it to where a runner of this behaviour brings it."""

    def follow(behaviour=behaviours.draws, job: Job | None = None, **fields) -> Job:
        fake_runner.behaviour = behaviour
        job = job or admit(submission(**fields))
        lease = lifecycle.claim(job.pk, live_runner)
        run_job(str(lease.job_id), lease.attempt)
        job.refresh_from_db()
        return job

    return follow


@pytest.fixture
def followed(request, transactional_db, submission, live_runner, fake_runner):
    """A job that a worker is following; its runner, if no other is asked for, has one step and waits to be told."""
    fake_runner.behaviour = getattr(request, "param", behaviours.draws_until_told)
    job = admit(submission(num_images=2))
    lease = lifecycle.claim(job.pk, live_runner)

    def work() -> None:
        run_job(str(lease.job_id), lease.attempt)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    yield Followed(job, worker)
    fake_runner.hang_up()
    worker.join()


class Followed:
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


# A runner that draws


def test_drawn_job_succeeds_with_all_its_pictures(follow, files, postings):
    job = follow(num_images=3, seed=41)
    assert (job.state, job.images_done, job.error_code) == (State.SUCCEEDED, 3, "")
    assert [(output.index, output.seed) for output in job.outputs.all()] == [(0, 41), (1, 42), (2, 43)]
    assert len(files()) == 3
    assert postings(job) == ["reserve", "release", "settle"]
    assert job.cost == job.cost_estimate
    assert not Preview.objects.exists()


def test_stored_picture_is_what_its_row_says(follow):
    output = follow(seed=41).outputs.get()
    data = storage.read_output(output)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.text["parameters"] == output.infotext
        assert (picture.width, picture.height) == (output.width, output.height)
    assert len(data) == output.size_bytes
    assert "Seed: 41" in output.infotext


@pytest.mark.parametrize(("asked", "kind"), [("jpeg", "JPEG"), ("webp", "WEBP")])
def test_picture_comes_in_the_format_that_was_asked_for(asked, kind, follow):
    output = follow(output_format=asked).outputs.get()
    with Image.open(io.BytesIO(storage.read_output(output))) as picture:
        assert picture.format == kind
    assert output.content_type == f"image/{asked}"


def test_runner_gets_the_request_the_file_and_the_input_pictures(follow, fake_runner, checkpoint):
    given = storage.store_input(png())
    job = follow(task="img2img", init_images=(given,))
    (order,) = fake_runner.orders
    assert order.request == job.generation_request
    assert (order.checkpoint.path, order.checkpoint.sha256) == (checkpoint.path, checkpoint.sha256)
    assert list(order.inputs) == [given.sha256]


def test_jobs_follow_each_other_on_one_connection(follow, fake_runner):
    for _job in range(3):
        assert follow().state == State.SUCCEEDED
    assert len(fake_runner.connections) == 1


def test_every_attempt_has_an_order_of_its_own(follow, fake_runner):
    job = follow(behaviours.dies_mid_stream)
    follow(behaviours.draws, job)
    assert list(fake_runner.talks) == [f"{job.pk}-1", f"{job.pk}-2"]


# Runners that misbehave


@pytest.mark.parametrize(
    "behaviour", [behaviours.dies_mid_stream, behaviours.talks_nonsense, behaviours.breaks]
)
def test_job_of_a_runner_that_died_is_put_back(behaviour, follow, files, postings):
    job = follow(behaviour)
    assert (job.state, job.runner_deaths, job.runner) == (State.QUEUED, 1, None)
    assert postings(job) == ["reserve"]
    assert files() == []


def test_job_that_no_runner_lives_to_accept_is_blamed_for_nothing(follow, live_runner, files, postings):
    job = follow(behaviours.dies_at_the_door)
    assert (job.state, job.runner_deaths, job.transitions.last().note) == (
        State.QUEUED,
        0,
        lifecycle.NEVER_ACCEPTED,
    )
    live_runner.refresh_from_db()
    assert live_runner.problem
    assert postings(job) == ["reserve"]


def test_second_death_is_the_end_of_the_job(follow, files, postings):
    job = follow(behaviours.dies_mid_stream, follow(behaviours.dies_mid_stream))
    assert (job.state, job.error_code) == (State.FAILED, lifecycle.POISONED)
    assert postings(job) == ["reserve", "release"]
    assert files() == []


def test_job_that_a_second_runner_draws_has_its_pictures_once(follow, files):
    job = follow(behaviours.draws, follow(behaviours.dies_mid_stream))
    assert (job.state, job.attempt, job.outputs.count()) == (State.SUCCEEDED, 2, 1)
    assert len(files()) == 1


@pytest.mark.parametrize(
    "behaviour", [behaviours.says_busy, behaviours.drops_the_job, behaviours.is_asked_to_end]
)
def test_job_that_was_not_drawn_is_put_back_without_a_death(behaviour, follow, postings):
    job = follow(behaviour)
    assert (job.state, job.runner_deaths) == (State.QUEUED, 0)
    assert postings(job) == ["reserve"]


def test_job_of_a_runner_that_cannot_be_reached_is_put_back_without_a_death(follow, fake_runner):
    fake_runner.close()
    job = follow()
    assert (job.state, job.runner_deaths) == (State.QUEUED, 0)


def test_runner_that_fails_says_why(follow, files, postings):
    job = follow(behaviours.fails_with_oom)
    assert (job.state, job.error_code) == (State.FAILED, "out_of_memory")
    assert job.error_message == "The picture is too large for this runner."
    assert postings(job) == ["reserve", "release"]
    assert files() == []


def test_client_does_not_learn_what_the_runner_refused(follow, postings):
    job = follow(behaviours.refuses_the_token)
    assert (job.state, job.error_code) == (State.FAILED, "runner_refused")
    assert "401" not in job.error_message
    assert postings(job) == ["reserve", "release"]


def test_wrong_token_is_refused(follow, settings):
    settings.RUNNER_TOKEN = "another"
    assert follow().error_code == "runner_refused"


def test_success_without_all_pictures_is_an_error_of_ours(follow, files):
    job = follow(behaviours.forgets_a_picture)
    assert (job.state, job.error_code) == (State.FAILED, "internal")
    assert "Traceback" not in job.error_message
    assert files() == []


def test_lost_input_picture_is_an_error_of_ours(follow, storage_folder, files):
    given = storage.store_input(png())
    files()[0].unlink()
    job = follow(task="img2img", init_images=(given,))
    assert (job.state, job.error_code) == (State.FAILED, "internal")
    assert str(storage_folder) not in job.error_message


def test_silent_runner_is_given_up(follow, fake_runner, settings, monkeypatch, postings):
    settings.JOB_TIMEOUT_S = 0.3
    monkeypatch.setattr(job_execution, "GRACE_S", 0.1)
    job = follow(behaviours.is_silent)
    assert (job.state, job.error_code, job.runner_deaths) == (State.FAILED, "timeout", 0)
    assert fake_runner.told == [(f"{job.pk}-1", "discard")]
    assert postings(job) == ["reserve", "release"]


# While it runs


def test_progress_and_preview_are_seen_while_the_job_runs(followed):
    followed.wait_for(lambda job: job.step == 1)
    assert bytes(Preview.objects.get(job=followed.job).jpeg) == b"a small jpeg"


@pytest.mark.parametrize("followed", [behaviours.goes_on_after_a_preview], indirect=True)
def test_preview_is_seen_though_the_next_step_follows_at_once(followed):
    followed.wait_for(lambda job: job.step == 2)
    assert bytes(Preview.objects.get(job=followed.job).jpeg) == b"a small jpeg"


def test_cancelled_job_is_dropped_by_its_runner(followed, fake_runner, files, postings):
    followed.wait_for(lambda job: job.step == 1)
    lifecycle.cancel(followed.job.pk)
    job = followed.end()
    assert job.state == State.CANCELLED
    assert fake_runner.told == [(f"{job.pk}-1", "discard")]
    assert postings(job) == ["reserve", "release", "settle"]  # of the step that it ran
    assert files() == []
    assert not Preview.objects.exists()


def test_interrupted_job_keeps_and_pays_for_what_it_has(followed, postings):
    followed.wait_for(lambda job: job.step == 1)
    lifecycle.signal(followed.job.pk, Signal.INTERRUPT)
    job = followed.end()
    assert (job.state, job.interrupted, job.outputs.count()) == (State.SUCCEEDED, True, 1)
    assert postings(job) == ["reserve", "release", "settle"]
    assert 0 < job.cost < job.cost_estimate


def test_worker_that_lost_its_lease_leaves_nothing_behind(followed, files):
    followed.wait_for(lambda job: job.step == 1)
    lifecycle.requeue(lifecycle.Lease(followed.job.pk, 1), note="the lease expired")
    job = followed.end()
    assert (job.state, job.attempt, job.outputs.count()) == (State.QUEUED, 1, 0)
    assert files() == []


@pytest.mark.parametrize("followed", [behaviours.is_silent], indirect=True)
def test_runner_that_ignores_a_cancellation_is_not_waited_for(followed, fake_runner, monkeypatch):
    monkeypatch.setattr(job_execution, "GRACE_S", 0.1)
    lifecycle.cancel(followed.job.pk)
    job = followed.end()
    assert job.state == State.CANCELLED
    assert fake_runner.told == [(f"{job.pk}-1", "discard")]
