import json
import re
from multiprocessing import Event, Queue, Value
from pathlib import Path

import pytest
from django.db import connection, transaction
from django_q.models import OrmQ
from django_q.monitor import monitor
from django_q.pusher import pusher
from django_q.worker import worker
from httpx import Headers

from access.models import CallbackSecret
from gpu_runner.protocol import Done
from jobs.admission.admit import admit
from jobs.errors import BadURL, ForbiddenAddress, SourceDisabled
from jobs.execution import lifecycle
from jobs.models import Job, State
from jobs.models.callback import Callback, CallbackState
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.scheduling.broker import FairBroker
from tests.support.receiving_server import due, wait_until_delivered, work

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).resolve().parents[4] / "docs" / "outside.md"
DONE = Done(engine_seconds=1, device_seconds=1, steps_run=20)


def documented(name: str):
    """Function from the code example of the documentation."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    namespace: dict = {}
    exec(code, namespace)
    return namespace[name]


# Sending


def test_nothing_is_sent_before_the_job_ends(calling, runner):
    job = calling()
    lifecycle.claim(job.pk, runner)
    assert (Callback.objects.get().state, due()) == (CallbackState.WAITING, [])


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled", "expired"])
def test_callback_is_sent_for_every_terminal_state(calling, runner, receiver, end):
    job = calling()
    match end:
        case "succeeded":
            lifecycle.succeed(lifecycle.claim(job.pk, runner), DONE, [])
        case "failed":
            lifecycle.fail(lifecycle.claim(job.pk, runner), "internal", "It broke.")
        case "cancelled":
            lifecycle.cancel(job.pk)
        case "expired":
            lifecycle.expire(job.pk)
    assert work() == 1
    (request,) = receiver.asked
    assert (request.method, request.headers["content-type"]) == ("POST", "application/json")
    assert json.loads(request.body) == {"task": 7, "state": end, "text": "画"}
    callback = Callback.objects.get()
    assert (callback.state, callback.last_status, callback.attempts) == (CallbackState.DELIVERED, 200, 1)
    assert callback.delivered_at is not None
    assert (due(), OrmQ.objects.count()) == ([], 0)


def test_rolled_back_end_sends_nothing(calling, runner):
    job = calling()
    with transaction.atomic():
        lifecycle.cancel(job.pk)
        transaction.set_rollback(True)
    assert (OrmQ.objects.count(), Callback.objects.get().state) == (0, CallbackState.WAITING)


def test_job_without_a_callback_queues_no_task(submission):
    lifecycle.cancel(admit(submission()).pk)
    assert (OrmQ.objects.count(), Callback.objects.count()) == (0, 0)


def test_callback_is_signed_with_the_secret_of_its_source(calling, receiver, source, other_source):
    CallbackSecret.issue(other_source)
    secret = CallbackSecret.issue(source)
    lifecycle.cancel(calling().pk)
    work()
    (request,) = receiver.asked
    is_ours = documented("is_ours")
    assert is_ours(secret, Headers(request.headers), request.body)
    assert not is_ours(secret, Headers(request.headers), request.body + b" ")
    assert not is_ours(secret + "x", Headers(request.headers), request.body)
    stale = request.headers | {"x-atelier-timestamp": "1"}
    assert not is_ours(secret, Headers(stale), request.body)


def test_source_without_a_secret_is_called_unsigned(calling, receiver):
    lifecycle.cancel(calling().pk)
    work()
    assert "x-atelier-signature" not in receiver.asked[0].headers


def test_secret_is_encrypted_in_the_database(source):
    secret = CallbackSecret.issue(source)
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM access_callbacksecret")
        assert secret not in cursor.fetchone()[0]


# In the processes of django-q2


def test_callback_is_sent_by_the_background_cluster(calling, receiver, transactional_db):
    lifecycle.cancel(calling().pk)
    broker = FairBroker("background")
    tasks, results, stop = Queue(), Queue(), Event()
    stop.set()  # after one iteration
    pusher(tasks, stop, broker)
    tasks.put("STOP")
    worker(tasks, results, Value("f", -1), timeout=60)
    results.put("STOP")
    monitor(results, broker)
    wait_until_delivered(Callback.objects.get().job)
    assert not OrmQ.objects.exists()


# Refusals at admission


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("ftp://example.com/", BadURL),
        ("not a url", BadURL),
        ("http://user:word@example.com/", BadURL),
        ("http://10.0.0.1/", ForbiddenAddress),
        ("http://localhost/", ForbiddenAddress),
    ],
)
def test_job_with_an_invalid_callback_url_is_refused(submission, url, error):
    with pytest.raises(error) as refused:
        admit(submission(dialect="calling", callback=CallbackRequest(url)))
    assert (refused.value.field, Job.objects.count()) == ("callback", 0)


def test_refused_job_leaves_no_callback(calling, source):
    source.enabled = False
    source.save()
    with pytest.raises(SourceDisabled):
        calling()
    assert Callback.objects.count() == 0


def test_callback_host_that_does_not_resolve_yet_is_accepted(submission):
    callback = CallbackRequest("http://no-such-host.invalid/")
    assert admit(submission(dialect="calling", callback=callback)).state == State.QUEUED
