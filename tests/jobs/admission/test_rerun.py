import pytest

from jobs.admission import rerun
from jobs.admission.admit import admit
from jobs.errors import Refused
from jobs.execution import lifecycle
from jobs.models import Job, Lane, State
from jobs.outbound.callbacks import policies
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.outbound.callbacks.policies import CallbackPolicy, by_status


@pytest.fixture
def admitted(submission):
    return lambda **fields: admit(submission(prompt="a red circle", seed=7, **fields))


@pytest.fixture
def calling() -> str:
    policy = CallbackPolicy(body=lambda callback: {}, acknowledged=by_status, waits_s=(1,), max_attempts=1)
    policies.register("calling", policy)
    return "calling"


def test_retry_copies_the_request_and_refers_to_the_original(admitted):
    job = admitted()
    new = rerun.retry(job, note="console: ops")
    assert (new.request, new.received, new.source, new.key) == (
        job.request,
        job.received,
        job.source,
        job.key,
    )
    assert (new.repeats, new.state) == (job, State.QUEUED)
    assert new.transitions.get().note == "console: ops"


def test_retry_is_for_the_same_end_user(admitted):
    assert rerun.retry(admitted(end_user="reader 7")).end_user == "reader 7"


def test_retry_of_an_interactive_job_is_asynchronous(admitted):
    assert rerun.retry(admitted(lane=Lane.INTERACTIVE)).lane == Lane.ASYNC
    assert rerun.retry(admitted(lane=Lane.BULK)).lane == Lane.BULK


def test_retry_has_the_callback_of_the_original(admitted, calling):
    requested = CallbackRequest("http://8.8.8.8/done", extra={"taskid": 7}, base_url="http://here")
    new = rerun.retry(admitted(dialect=calling, callback=requested))
    callback = new.callback
    assert (callback.url, callback.extra, callback.base_url) == (
        requested.url,
        requested.extra,
        requested.base_url,
    )


def test_rerun_has_no_callback(admitted, calling):
    new = rerun.rerun(admitted(dialect=calling, callback=CallbackRequest("http://8.8.8.8/done")))
    assert not new.has_callback


def test_retry_takes_over_only_a_repeatable_external_id(admitted):
    assert rerun.retry(admitted(external_id="one")).external_id == ""
    again = rerun.retry(admitted(external_id="many", id_may_repeat=True))
    assert (again.external_id, again.id_may_repeat) == ("many", True)


def test_retry_gets_a_new_id_in_dialects_that_assign_ids(admitted):
    job = admitted(dialect="stablediffusionapi", external_id="7")
    assert rerun.retry(job).external_id not in {"", "7"}


def test_retry_may_be_refused(admitted, source):
    job = admitted()
    lifecycle.cancel(job.pk)
    source.max_steps = 1
    source.save()
    with pytest.raises(Refused):
        rerun.retry(Job.objects.get(pk=job.pk))
    assert Job.objects.count() == 1
