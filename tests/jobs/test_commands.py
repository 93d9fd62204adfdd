"""What the console does, for scripts."""

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


def told(*command: str) -> str:
    out = io.StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def told_json(*command: str) -> list[dict]:
    return [json.loads(line) for line in told(*command, "--json").splitlines()]


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


def test_jobs_are_listed_by_what_they_have_in_common(submission, failed, other_source):
    admit(submission())
    mine, _other = failed("out_of_memory"), failed("internal")
    failed("out_of_memory", source=other_source, key=None)
    rows = told_json("list_jobs", "--source", "shop", "--state", "failed", "--error", "out_of_memory")
    assert [row["id"] for row in rows] == [str(mine.pk)]
    assert rows[0]["source"] == "shop"


def test_jobs_are_listed_by_when_they_were_created(submission):
    old, _young = admit(submission()), admit(submission())
    Job.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    assert [row["id"] for row in told_json("list_jobs", "--until", "1d")] == [str(old.pk)]
    assert len(told("list_jobs", "--since", "24h").splitlines()) == 1


def test_no_time_is_an_error():
    with pytest.raises(CommandError, match="no time"):
        told("list_jobs", "--since", "yesterdayish")


def test_list_is_limited_for_people_and_whole_for_programs(job):
    assert len(told("list_jobs").splitlines()) == 1
    assert "request" not in told_json("list_jobs")[0]


def test_waiting_jobs_of_a_source_are_cancelled(submission, failed):
    waiting, ended = admit(submission()), failed()
    assert told_json("cancel_jobs", "--source", "shop") == [{"id": str(waiting.pk), "state": "cancelled"}]
    assert (state_of(waiting), state_of(ended)) == (State.CANCELLED, State.FAILED)


@pytest.mark.parametrize("command", ["cancel_jobs", "retry_jobs"])
def test_nothing_is_changed_when_nothing_is_named(command, job):
    with pytest.raises(CommandError, match="which"):
        told(command)
    assert state_of(job) == State.QUEUED


def test_failed_jobs_are_retried_as_new_ones(failed):
    job = failed()
    (row,) = told_json("retry_jobs", str(job.pk))
    again = Job.objects.get(pk=row["retried_as"])
    assert (again.repeats_id, again.state) == (job.pk, State.QUEUED)


def test_retry_that_is_refused_says_why(failed, source):
    job = failed()
    source.enabled = False
    source.save()
    (row,) = told_json("retry_jobs", str(job.pk))
    assert "disabled" in row["refused"]


def test_job_that_succeeded_or_waits_is_not_retried(job):
    assert told_json("retry_jobs", str(job.pk)) == []


# Runners


def test_runner_is_drained_and_takes_work_again(runner):
    assert "runs 0 jobs" in told("drain_runner", runner.name, "--wait")
    runner.refresh_from_db()
    assert runner.draining
    told("resume_runner", runner.name)
    runner.refresh_from_db()
    assert (runner.draining, runner.enabled) == (False, True)


def test_drain_that_takes_too_long_is_an_error(runner, lease):
    with pytest.raises(CommandError, match="still runs 1 jobs"):
        told("drain_runner", runner.name, "--wait", "--timeout", "0")


@pytest.mark.parametrize("command", ["drain_runner", "resume_runner"])
def test_unknown_runner_is_an_error(command, db):
    with pytest.raises(CommandError, match="no runner"):
        told(command, "nobody")


def test_runners_are_listed_without_their_tokens(runner):
    Runner.objects.update(problem="nobody answered")
    runner.token = "hunter2"
    runner.save(update_fields=["token"])
    assert "nobody answered" in told("list_runners")
    assert "hunter2" not in json.dumps(told_json("list_runners"))


# Callbacks


@pytest.fixture
def dead(failed) -> Callback:
    return Callback.objects.create(job=failed(), dialect="native", url="http://x/", state=CallbackState.DEAD)


def test_callbacks_that_were_given_up_are_listed_and_sent_again(dead, failed):
    Callback.objects.create(job=failed(), dialect="native", url="http://y/", state=CallbackState.DELIVERED)
    (row,) = told_json("list_callbacks", "--state", "dead", "--source", "shop")
    assert (row["id"], row["source"]) == (str(dead.pk), "shop")
    assert "again: 1" in told("replay_callbacks", "--dead", "--since", "1h")
    dead.refresh_from_db()
    assert dead.state == CallbackState.PENDING
    assert "again: 0" in told("replay_callbacks", str(dead.pk))


def test_replay_wants_to_know_which():
    with pytest.raises(CommandError, match="--dead"):
        told("replay_callbacks")


@pytest.mark.parametrize("command", ["list_jobs", "cancel_jobs", "retry_jobs"])
def test_a_job_or_a_source_that_is_none_is_a_mistake(command, failed):
    unknown = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(CommandError, match=unknown):
        told(command, str(failed().pk), unknown)
    with pytest.raises(CommandError, match="'shpo'"):
        told(command, "--source", "shpo")
    assert Job.objects.count() == 1
