import pydoc
from collections import Counter
from datetime import timedelta
from multiprocessing import Event, Queue, Value
from uuid import uuid4

import pytest
from django.db.models import Count
from django.utils import timezone
from django_q.models import OrmQ, Task
from django_q.monitor import monitor
from django_q.pusher import pusher
from django_q.signing import SignedPackage
from django_q.tasks import async_task
from django_q.worker import worker

from access.models import AccessKey
from jobs.admission.admit import admit
from jobs.execution import lifecycle
from jobs.models import Job, Lane, Runner, State
from jobs.scheduling import dispatcher as dispatch
from jobs.scheduling import queue_snapshot
from jobs.scheduling.broker import GENERATION, FairBroker
from jobs.scheduling.dispatcher import Dispatcher, claim_next
from jobs.scheduling.policy import WINDOW, Reason
from jobs.tasks import run_job

pytestmark = pytest.mark.slow

MANY = 100
FOREVER_S = 600.0  # longer than a test may take


@pytest.fixture
def broker(transactional_db, monkeypatch) -> FairBroker:
    """Uses real commits, because it closes connections. The runner is not polled meanwhile."""
    monkeypatch.setattr(dispatch.RunnerWatch, "start", lambda watch: None)
    return FairBroker(GENERATION)


@pytest.fixture
def other_queue(db) -> FairBroker:
    return FairBroker("background")


@pytest.fixture
def second_runner(runner: Runner) -> Runner:
    seen = {"slots": runner.slots, "boot_id": "its first boot", "seen_at": runner.seen_at}
    return Runner.objects.create(name="second", url="http://127.0.0.1:9", **seen)


def queue(submission, count: int, **fields) -> list[Job]:
    return [admit(submission(**fields)) for _number in range(count)]


def running() -> Counter:
    return Counter(Job.objects.filter(state=State.RUNNING).values_list("source__name", flat=True))


def update_runner(runner: Runner, **fields) -> None:
    Runner.objects.filter(pk=runner.pk).update(**fields)


# Claims


def test_oldest_job_is_claimed_with_a_lease(submission, runner):
    first, *_others = queue(submission, 6)
    (lease, *_more) = claim_next(runner.name, MANY)
    assert (lease.job_id, lease.attempt) == (first.pk, 1)


def test_claims_are_limited_by_the_slots(submission, runner):
    queue(submission, 10)
    assert len(claim_next(runner.name, MANY)) == runner.slots
    assert claim_next(runner.name, MANY) == []


def test_claims_are_limited_by_the_workers(submission, runner):
    queue(submission, 10)
    assert len(claim_next(runner.name, workers=2)) == 2


def test_one_job_at_a_time_is_claimed_while_no_worker_begins_jobs(submission, runner):
    queue(submission, 3)
    update_runner(runner, hand_over_lost_at=timezone.now())
    assert [len(claim_next(runner.name, MANY)) for _turn in range(2)] == [1, 1]


def test_slot_is_freed_when_its_job_ends(submission, runner):
    queue(submission, 10)
    lease, *_others = claim_next(runner.name, MANY)
    lifecycle.fail(lease, "internal", "It broke.")
    assert len(claim_next(runner.name, MANY)) == 1


def test_slots_are_shared_by_the_weights_of_the_sources(submission, source, other_source, runner):
    source.weight = 3
    source.save()
    queue(submission, 8)
    queue(submission, 8, source=other_source)
    claim_next(runner.name, MANY)
    assert running() == {"shop": 3, "blog": 1}


def test_concurrency_limit_of_a_source_is_respected(submission, source, other_source, runner):
    source.max_concurrent_jobs = 1
    source.save()
    queue(submission, 8)
    queue(submission, 8, source=other_source)
    claim_next(runner.name, MANY)
    assert running() == {"shop": 1, "blog": 3}


def test_concurrency_limit_of_a_key_does_not_block_other_keys(submission, source, key, runner):
    key.max_concurrent_jobs = 1
    key.save()
    limited_jobs, other_jobs = queue(submission, 3), queue(submission, 2, key=AccessKey.issue(source)[0])
    for _turn in range(2):
        claim_next(runner.name, MANY)
    states = [Job.objects.get(pk=job.pk).state for job in (*limited_jobs, *other_jobs)]
    assert states == ["running", "queued", "queued", "running", "running"]
    assert queue_snapshot.explain(limited_jobs[1], runner, MANY).reason == Reason.KEY_AT_CAP
    assert lifecycle.claim(limited_jobs[1].pk, runner) is None


@pytest.mark.parametrize(
    "state", [{"enabled": False}, {"draining": True}, {"problem": "silent"}, {"seen_at": None}, {"slots": 0}]
)
def test_unavailable_runner_claims_nothing(state, submission, runner):
    queue(submission, 1)
    update_runner(runner, **state)
    assert claim_next(runner.name, MANY) == []


def test_runner_not_seen_recently_claims_nothing(submission, runner):
    queue(submission, 1)
    update_runner(runner, seen_at=timezone.now() - timedelta(minutes=1))
    assert claim_next(runner.name, MANY) == []


def test_jobs_of_a_disabled_source_are_not_claimed(submission, source, runner):
    queue(submission, 1)
    source.enabled = False
    source.save()
    assert claim_next(runner.name, MANY) == []


# Concurrency


def test_concurrent_claims_never_take_the_same_job(together, submission, source, runner, second_runner):
    source.max_concurrent_jobs = MANY
    source.save()
    jobs = queue(submission, 12)
    Runner.objects.update(slots=MANY)
    names = [runner.name, second_runner.name] * 2
    claimed = together(*[lambda name=name: claim_next(name, MANY) for name in names])
    leases = [lease for some in claimed for lease in some]
    assert sorted(lease.job_id for lease in leases) == sorted(job.pk for job in jobs)
    assert {lease.attempt for lease in leases} == {1}


def test_concurrent_hosts_respect_slots_and_limits(together, submission, source, runner, second_runner):
    source.max_concurrent_jobs = 5
    source.save()
    queue(submission, 12)
    names = [runner.name, second_runner.name]
    together(*[lambda name=name: [claim_next(name, MANY) for _turn in range(3)] for name in names])
    for name in names:
        claim_next(name, MANY)
    assert running() == {"shop": 5}
    per_runner = Job.objects.filter(state=State.RUNNING).values("runner").annotate(count=Count("pk"))
    assert all(row["count"] <= runner.slots for row in per_runner.order_by())


# Interface of django-q2


def test_package_calls_the_task_with_the_attempt(broker, job, runner):
    ((ack_id, package),) = broker.dequeue()
    task = SignedPackage.loads(package)
    assert ack_id == str(job.pk)
    assert pydoc.locate(task["func"]) is run_job
    assert (task["args"], task["kwargs"]) == ((str(job.pk), 1), {})


def test_job_goes_through_the_processes_of_a_cluster(broker, job, live_runner):
    tasks, results, stop = Queue(), Queue(), Event()
    stop.set()  # after one iteration
    pusher(tasks, stop, broker)
    tasks.put("STOP")
    worker(tasks, results, Value("f", -1), timeout=60)
    results.put("STOP")
    monitor(results, broker)
    job.refresh_from_db()
    assert (job.state, job.outputs.count()) == (State.SUCCEEDED, 1)
    assert not Task.objects.exists()


def test_dequeue_returns_when_nothing_is_queued(broker, runner):
    assert not broker.dequeue()


def test_broker_survives_an_error(broker, job, runner, monkeypatch):
    """An exception would stop the pusher of django-q2."""
    monkeypatch.setattr(dispatch, "BACK_OFF_S", 0)
    monkeypatch.setattr(dispatch, "choose_and_claim", lambda *args: 1 / 0)
    assert Dispatcher(runner.name, MANY).take() == []
    assert broker.dequeue() == []


def waiting_dispatcher(runner: Runner) -> Dispatcher:
    """A dispatcher that has found nothing to claim."""
    dispatcher = Dispatcher(runner.name, MANY)
    assert dispatcher.take() == []
    return dispatcher


def test_dispatcher_is_woken_by_an_admitted_job(broker, submission, runner, together, monkeypatch):
    monkeypatch.setattr(dispatch, "LISTEN_S", FOREVER_S)
    dispatcher = waiting_dispatcher(runner)
    (job,) = together(lambda: admit(submission()))
    assert [lease.job_id for lease in dispatcher.take()] == [job.pk]


def test_dispatcher_is_woken_by_a_job_that_frees_its_slot(broker, submission, runner, together, monkeypatch):
    monkeypatch.setattr(dispatch, "LISTEN_S", FOREVER_S)
    running, waiting = queue(submission, 2)
    update_runner(runner, slots=1)
    lease = lifecycle.claim(running.pk, runner)
    dispatcher = waiting_dispatcher(runner)
    together(lambda: lifecycle.fail(lease, "internal", "It broke."))
    assert [lease.job_id for lease in dispatcher.take()] == [waiting.pk]


def test_dispatcher_polls_the_queue_without_a_notification(broker, submission, runner, monkeypatch):
    monkeypatch.setattr(dispatch, "LISTEN_S", 0.01)
    (job,) = queue(submission, 1)
    update_runner(runner, slots=0)
    dispatcher = waiting_dispatcher(runner)
    update_runner(runner, slots=1)
    assert [lease.job_id for lease in dispatcher.take()] == [job.pk]


def lengthen_queue(job: Job, count: int, **fields) -> None:
    """Insert copies of a queued job, without admission."""
    row = Job.objects.values().get(pk=job.pk)
    Job.objects.bulk_create([Job(**(row | {"id": uuid4()} | fields)) for _ in range(count)])


@pytest.mark.parametrize("waiting", [50, 500])
def test_snapshot_takes_a_fixed_number_of_queries(waiting, job, runner, django_assert_num_queries):
    lengthen_queue(job, waiting)
    with django_assert_num_queries(4):
        assert len(queue_snapshot.read(runner, MANY).waiting) == WINDOW


def test_snapshot_contains_the_oldest_jobs_of_each_lane(job, runner):
    lengthen_queue(job, 2 * WINDOW, lane=Lane.INTERACTIVE)
    lengthen_queue(job, 1, lane=Lane.BULK)
    lanes = Counter(waiting.lane for waiting in queue_snapshot.read(runner, MANY).waiting)
    assert lanes == {Lane.INTERACTIVE: WINDOW, Lane.ASYNC: 1, Lane.BULK: 1}


def test_enqueue_is_refused_for_the_generation_queue(broker):
    with pytest.raises(ValueError, match="admitted"):
        broker.enqueue("anything")


def test_acknowledgements_of_the_cluster_do_not_change_jobs(broker, job, runner):
    ((ack_id, _package),) = broker.dequeue()
    before = Job.objects.values().get()
    broker.acknowledge(ack_id)
    broker.fail(ack_id)
    broker.delete(ack_id)
    broker.delete_queue()
    assert Job.objects.values().get() == before


def test_queue_sizes_are_counted_in_the_job_table(broker, submission, runner):
    queue(submission, 3)
    lifecycle.claim(Job.objects.first().pk, runner)
    assert (broker.queue_size(), broker.lock_size()) == (2, 1)


# Other queues


def test_other_queues_use_the_orm_broker(other_queue, job):
    async_task("jobs.tasks.sweep", broker=other_queue)
    assert other_queue.queue_size() == 1
    ((ack_id, package),) = other_queue.dequeue()
    assert SignedPackage.loads(package)["func"] == "jobs.tasks.sweep"
    assert (other_queue.queue_size(), other_queue.lock_size()) == (0, 1)
    other_queue.acknowledge(ack_id)
    assert not OrmQ.objects.exists()


def test_other_queues_contain_no_jobs(other_queue, job):
    assert other_queue.queue_size() == 0
    other_queue.purge_queue()
    assert Job.objects.get() == job
