import threading
import time

import pytest
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from jobs.execution import lifecycle
from jobs.models.callback import Callback, CallbackState
from jobs.outbound.callbacks import sender_pool
from tests.support.receiving_server import YES, due, states, wait_until_delivered

pytestmark = pytest.mark.slow


@pytest.fixture
def silent(receiver):
    """Set to let it answer at last. ``/silent`` takes every call, and thinks."""
    answers = threading.Event()

    def think(handler) -> None:
        answers.wait()
        YES(handler)

    receiver.answers["/silent"] = think
    yield answers
    answers.set()


@pytest.fixture
def worker(transactional_db, monkeypatch):
    """Starts all that is due, in the order of the list, as one worker of the background cluster does."""
    senders = sender_pool.SenderPool()
    monkeypatch.setattr(sender_pool, "_senders", lambda: senders)
    monkeypatch.setattr(sender_pool, "SOON_S", 600.0)  # longer than a busy machine takes for an answer

    def worker() -> None:
        for entry in due():
            sender_pool.start(*SignedPackage.loads(entry.payload)["args"])
            entry.delete()

    yield worker
    senders._threads.shutdown()


def test_receiver_that_never_answers_holds_up_no_other_source(
    worker, calling, receiver, silent, source, other_source, monkeypatch
):
    monkeypatch.setattr(sender_pool, "SOON_S", 0.05)
    other_source.reachable = source.reachable
    other_source.save()
    slow = [calling("/silent") for _job in range(sender_pool.OF_A_SOURCE + 3)]
    quick = calling(source=other_source, key=None)
    for job in (*slow, quick):
        lifecycle.cancel(job.pk)
    worker()
    wait_until_delivered(quick)
    while len(receiver.asked) <= sender_pool.OF_A_SOURCE:
        time.sleep(0.01)
    assert states(*slow) == [CallbackState.SENDING] * sender_pool.OF_A_SOURCE + [CallbackState.PENDING] * 3
    assert OrmQ.objects.count() == 3  # for later
    silent.set()
    wait_until_delivered(*slow[: sender_pool.OF_A_SOURCE])
    OrmQ.objects.update(lock=Callback.objects.latest("created_at").created_at)
    worker()
    wait_until_delivered(*slow)
    assert len(receiver.asked) == len(slow) + 1


def test_a_source_whose_receiver_answers_soon_waits_for_a_place(worker, calling, receiver):
    jobs = [calling() for _job in range(3 * sender_pool.OF_A_SOURCE)]
    for job in jobs:
        lifecycle.cancel(job.pk)
    worker()
    wait_until_delivered(*jobs)
    assert not OrmQ.objects.exists()


def test_what_is_on_the_list_twice_is_sent_once(worker, calling, receiver, silent):
    job = calling("/silent")
    lifecycle.cancel(job.pk)
    entry = OrmQ.objects.get()
    OrmQ.objects.create(key=entry.key, payload=entry.payload, lock=entry.lock)
    worker()
    silent.set()
    wait_until_delivered(job)
    assert len(receiver.asked) == 1
