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
def asked(submission):
    return lambda **fields: admit(submission(prompt="a red circle", seed=7, **fields))


@pytest.fixture
def calling() -> str:
    policy = CallbackPolicy(body=lambda callback: {}, acknowledged=by_status, waits_s=(1,), max_attempts=1)
    policies.register("calling", policy)
    return "calling"


def test_a_retry_asks_for_the_same_and_knows_what_it_repeats(asked):
    job = asked()
    new = rerun.retry(job, note="console: ops")
    assert (new.request, new.received, new.source, new.key) == (
        job.request,
        job.received,
        job.source,
        job.key,
    )
    assert (new.repeats, new.state) == (job, State.QUEUED)
    assert new.transitions.get().note == "console: ops"


def test_nobody_waits_on_a_connection_for_a_retry(asked):
    assert rerun.retry(asked(lane=Lane.INTERACTIVE)).lane == Lane.ASYNC
    assert rerun.retry(asked(lane=Lane.BULK)).lane == Lane.BULK


def test_a_retry_calls_back_as_the_first_would_have(asked, calling):
    wanted = CallbackRequest("http://8.8.8.8/done", extra={"taskid": 7}, base_url="http://here")
    new = rerun.retry(asked(dialect=calling, callback=wanted))
    told = new.callback
    assert (told.url, told.extra, told.base_url) == (wanted.url, wanted.extra, wanted.base_url)


def test_a_rerun_is_for_us_and_calls_nobody(asked, calling):
    new = rerun.rerun(asked(dialect=calling, callback=CallbackRequest("http://8.8.8.8/done")))
    assert not new.has_callback


def test_a_callers_id_stays_with_the_first_job_unless_it_names_the_newest(asked):
    assert rerun.retry(asked(external_id="one")).external_id == ""
    again = rerun.retry(asked(external_id="many", id_may_repeat=True))
    assert (again.external_id, again.id_may_repeat) == ("many", True)


def test_a_dialects_own_ids_are_new_ones(asked):
    job = asked(dialect="stablediffusionapi", external_id="7")
    assert rerun.retry(job).external_id not in {"", "7"}


def test_a_retry_may_be_refused_as_any_request(asked, source):
    job = asked()
    lifecycle.cancel(job.pk)
    source.max_steps = 1
    source.save()
    with pytest.raises(Refused):
        rerun.retry(Job.objects.get(pk=job.pk))
    assert Job.objects.count() == 1
