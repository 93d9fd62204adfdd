"""Management commands for jobs, runners and callbacks."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobs.admission.admit import admit
from jobs.execution import lifecycle
from jobs.models import Job, Runner, State
from jobs.models.callback import Callback, CallbackState

pytestmark = pytest.mark.django_db


def run(*command: str) -> str:
    out = io.StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def run_json(*command: str) -> list[dict]:
    return [json.loads(line) for line in run(*command, "--json").splitlines()]


def state_of(job: Job) -> str:
    return Job.objects.get(pk=job.pk).state


@pytest.fixture
def failed(submission, runner):
    def failed(code: str = "internal", **fields) -> Job:
        job = admit(submission(**fields))
        lifecycle.fail(lifecycle.claim(job.pk, runner), code, "no")
        return job

    return failed


# Jobs


def test_jobs_are_filtered_by_source_state_and_error(submission, failed, other_source):
    admit(submission())
    mine, _other = failed("out_of_memory"), failed("internal")
    failed("out_of_memory", source=other_source, key=None)
    rows = run_json("list_jobs", "--source", "shop", "--state", "failed", "--error", "out_of_memory")
    assert [row["id"] for row in rows] == [str(mine.pk)]
    assert rows[0]["source"] == "shop"


def test_jobs_are_filtered_by_creation_time(submission):
    old, _young = admit(submission()), admit(submission())
    Job.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    assert [row["id"] for row in run_json("list_jobs", "--until", "1d")] == [str(old.pk)]
    assert len(run("list_jobs", "--since", "24h").splitlines()) == 1


def test_invalid_time_is_an_error():
    with pytest.raises(CommandError, match="not a time"):
        run("list_jobs", "--since", "invalid")


def test_list_omits_the_requests(job):
    assert len(run("list_jobs").splitlines()) == 1
    assert "request" not in run_json("list_jobs")[0]


def test_queued_jobs_of_a_source_are_cancelled(submission, failed):
    waiting, ended = admit(submission()), failed()
    assert run_json("cancel_jobs", "--source", "shop") == [{"id": str(waiting.pk), "state": "cancelled"}]
    assert (state_of(waiting), state_of(ended)) == (State.CANCELLED, State.FAILED)


@pytest.mark.parametrize("command", ["cancel_jobs", "retry_jobs"])
def test_changing_command_requires_a_selection(command, job):
    with pytest.raises(CommandError, match="required"):
        run(command)
    assert state_of(job) == State.QUEUED


def test_failed_jobs_are_retried_as_new_ones(failed):
    job = failed()
    (row,) = run_json("retry_jobs", str(job.pk))
    again = Job.objects.get(pk=row["retried_as"])
    assert (again.repeats_id, again.state) == (job.pk, State.QUEUED)


def test_refused_retry_is_reported_with_its_reason(failed, source):
    job = failed()
    source.enabled = False
    source.save()
    (row,) = run_json("retry_jobs", str(job.pk))
    assert "disabled" in row["refused"]


def test_queued_job_is_not_retried(job):
    assert run_json("retry_jobs", str(job.pk)) == []


# Runners


def test_runner_is_drained_and_resumed(runner):
    assert "running jobs: 0" in run("drain_runner", runner.name, "--wait")
    runner.refresh_from_db()
    assert runner.draining
    run("resume_runner", runner.name)
    runner.refresh_from_db()
    assert (runner.draining, runner.enabled) == (False, True)


def test_drain_timeout_is_an_error(runner, lease):
    with pytest.raises(CommandError, match="still running 1 jobs"):
        run("drain_runner", runner.name, "--wait", "--timeout", "0")


@pytest.mark.parametrize("command", ["drain_runner", "resume_runner"])
def test_unknown_runner_is_an_error(command, db):
    with pytest.raises(CommandError, match="runner not found"):
        run(command, "unknown")


def test_runners_are_listed_without_their_tokens(runner):
    Runner.objects.update(problem="connection refused")
    runner.token = "hunter2"
    runner.save(update_fields=["token"])
    assert "connection refused" in run("list_runners")
    assert "hunter2" not in json.dumps(run_json("list_runners"))


# Callbacks


@pytest.fixture
def dead(failed) -> Callback:
    return Callback.objects.create(job=failed(), dialect="native", url="http://x/", state=CallbackState.DEAD)


def test_dead_callbacks_are_listed_and_replayed(dead, failed):
    Callback.objects.create(job=failed(), dialect="native", url="http://y/", state=CallbackState.DELIVERED)
    (row,) = run_json("list_callbacks", "--state", "dead", "--source", "shop")
    assert (row["id"], row["source"]) == (str(dead.pk), "shop")
    assert "again: 1" in run("replay_callbacks", "--dead", "--since", "1h")
    dead.refresh_from_db()
    assert dead.state == CallbackState.PENDING
    assert "again: 0" in run("replay_callbacks", str(dead.pk))


def test_replay_requires_a_selection():
    with pytest.raises(CommandError, match="--dead"):
        run("replay_callbacks")


@pytest.mark.parametrize("command", ["list_jobs", "cancel_jobs", "retry_jobs"])
def test_unknown_job_or_source_is_an_error(command, failed):
    unknown = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(CommandError, match=unknown):
        run(command, str(failed().pk), unknown)
    with pytest.raises(CommandError, match="source not found: shpo"):
        run(command, "--source", "shpo")
    assert Job.objects.count() == 1
