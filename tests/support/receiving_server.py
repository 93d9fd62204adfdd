"""A receiver of callbacks with a policy like Zhiqite's, and the background cluster that calls it."""

import time

from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from jobs.models.callback import Callback, CallbackAttempt, CallbackState
from jobs.outbound.callbacks.delivery import deliver
from jobs.outbound.callbacks.policies import CallbackPolicy, by_code

from .web_server import answer

YES = answer(200, b'{"code": "200"}')
NO = answer(200, b'{"code": "500"}')
WAITS = (3, 5, 15, 30, 60, 600, 3600)
POLICY = CallbackPolicy(
    body=lambda callback: {"task": callback.extra["task"], "state": callback.job.state, "text": "画"},
    acknowledged=by_code("200"),
    waits_s=WAITS,
    max_attempts=10,
)


def due() -> list[OrmQ]:
    return list(OrmQ.objects.filter(key="background", lock__lte=timezone.now()))


def work() -> int:
    """What the background cluster does with what is due on its list."""
    entries = due()
    for entry in entries:
        task = SignedPackage.loads(entry.payload)
        assert task["func"] == "jobs.outbound.callbacks.sender_pool.start"
        deliver(*task["args"])  # in this thread, which sees the test's transaction
        entry.delete()
    return len(entries)


def wait_for_the_next() -> float:
    """Lets the time pass until the only entry is due; gives back how long that is after the last attempt."""
    entry = OrmQ.objects.get(key="background")
    wait = (entry.lock - CallbackAttempt.objects.latest("at").at).total_seconds()
    OrmQ.objects.update(lock=timezone.now())
    return wait


def states(*jobs) -> list[str]:
    return [Callback.objects.get(job=job).state for job in jobs]


def wait_until_delivered(*jobs) -> None:
    while set(states(*jobs)) != {CallbackState.DELIVERED}:
        time.sleep(0.01)
