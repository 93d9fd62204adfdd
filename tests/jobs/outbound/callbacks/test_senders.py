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
    """Event that lets ``/silent`` respond; until then it accepts calls and does not respond."""
    release = threading.Event()

    def respond_later(handler) -> None:
        release.wait()
        YES(handler)

    receiver.answers["/silent"] = respond_later
    yield release
    release.set()


@pytest.fixture
def worker(transactional_db, monkeypatch):
    """Starts all due tasks in order, as one worker of the background cluster does."""
    pool = sender_pool.SenderPool()
    monkeypatch.setattr(sender_pool, "pool", lambda: pool)
    monkeypatch.setattr(sender_pool, "MAX_WAIT_S", 600.0)  # longer than a response takes on a busy machine

    def worker() -> None:
        for entry in due():
            sender_pool.start(*SignedPackage.loads(entry.payload)["args"])
            entry.delete()

    yield worker
    pool.close()


def test_silent_receiver_does_not_block_other_sources(
    worker, calling, receiver, silent, source, other_source, monkeypatch
):
    monkeypatch.setattr(sender_pool, "MAX_WAIT_S", 0.05)
    other_source.reachable = source.reachable
    other_source.save()
    slow = [calling("/silent") for _job in range(sender_pool.MAX_PER_SOURCE + 3)]
    quick = calling(source=other_source, key=None)
    for job in (*slow, quick):
        lifecycle.cancel(job.pk)
    worker()
    wait_until_delivered(quick)
    while len(receiver.asked) <= sender_pool.MAX_PER_SOURCE:
        time.sleep(0.01)
    assert states(*slow) == [CallbackState.SENDING] * sender_pool.MAX_PER_SOURCE + [CallbackState.PENDING] * 3
    assert OrmQ.objects.count() == 3  # postponed
    silent.set()
    wait_until_delivered(*slow[: sender_pool.MAX_PER_SOURCE])
    OrmQ.objects.update(lock=Callback.objects.latest("created_at").created_at)
    worker()
    wait_until_delivered(*slow)
    assert len(receiver.asked) == len(slow) + 1


def test_callbacks_wait_for_a_slot_if_the_receiver_is_fast(worker, calling, receiver):
    jobs = [calling() for _job in range(3 * sender_pool.MAX_PER_SOURCE)]
    for job in jobs:
        lifecycle.cancel(job.pk)
    worker()
    wait_until_delivered(*jobs)
    assert not OrmQ.objects.exists()


def test_duplicate_task_is_sent_once(worker, calling, receiver, silent):
    job = calling("/silent")
    lifecycle.cancel(job.pk)
    entry = OrmQ.objects.get()
    OrmQ.objects.create(key=entry.key, payload=entry.payload, lock=entry.lock)
    worker()
    silent.set()
    wait_until_delivered(job)
    assert len(receiver.asked) == 1
