from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from access.models import Posting
from gpu_runner.protocol import Done, Progress
from jobs.admission.admit import admit
from jobs.errors import ImpossibleTransition, LeaseLost
from jobs.execution import lifecycle
from jobs.execution.lifecycle import POISONED, Lease
from jobs.models import TERMINAL, TRANSITIONS, Job, Output, Preview, Signal, State, Usage
from jobs.models.usage import FIRST_GUESS_S_PER_COST

DONE = Done(engine_seconds=3, device_seconds=2, steps_run=20)
STEP = Progress(step=5, steps=20, images_done=1, batch=1, batch_step=5)


def output_of(job: Job) -> Output:
    sizes = {"size_bytes": 10, "width": 64, "height": 64}
    return Output(job=job, index=0, file="outputs/0.png", sha256="0" * 64, seed=1, **sizes)


def expire_lease(lease: Lease) -> Lease:
    Job.objects.filter(pk=lease.job_id).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    return lease


def end_as(state: State, job: Job, runner) -> None:
    match state:
        case State.CANCELLED:
            lifecycle.cancel(job.pk)
        case State.EXPIRED:
            lifecycle.expire(job.pk)
        case State.SUCCEEDED:
            lifecycle.succeed(lifecycle.claim(job.pk, runner), DONE, [])
        case State.FAILED:
            lifecycle.fail(lifecycle.claim(job.pk, runner), "internal", "It broke.")


@pytest.fixture(params=sorted(TERMINAL))
def ended(request, job, runner) -> Job:
    end_as(State(request.param), job, runner)
    job.refresh_from_db()
    assert job.state == request.param
    return job


# Claiming


def test_claimed_job_runs_on_its_runner_with_a_lease(job, runner):
    lease = lifecycle.claim(job.pk, runner)
    job.refresh_from_db()
    assert (job.state, job.attempt, lease.attempt) == (State.RUNNING, 1, 1)
    assert (job.runner, job.runner_boot_id) == (runner, "first boot")
    assert job.lease_expires_at > timezone.now()


def test_claimed_job_has_a_short_lease_until_a_worker_begins_it(job, runner, settings):
    settings.JOB_HAND_OVER_S, settings.JOB_LEASE_S = 10, 1000
    lease, now = lifecycle.claim(job.pk, runner), timezone.now()
    job.refresh_from_db()
    assert job.begun_at is None
    assert job.lease_expires_at <= now + timedelta(seconds=10)
    lifecycle.begin(lease)
    job.refresh_from_db()
    assert job.begun_at >= now
    assert job.lease_expires_at >= now + timedelta(seconds=1000)


def test_requeued_job_is_not_begun_by_a_late_worker(job, lease, runner):
    lifecycle.requeue(lease, note="not accepted by the runner: busy")
    lifecycle.claim(job.pk, runner)
    with pytest.raises(LeaseLost):
        lifecycle.begin(lease)
    job.refresh_from_db()
    assert job.begun_at is None


def test_running_job_is_not_claimed_again(lease, runner):
    assert lifecycle.claim(lease.job_id, runner) is None


def test_claim_respects_the_concurrency_limit_of_the_source(submission, source, lease, runner):
    source.max_concurrent_jobs = 1
    source.save()
    assert lifecycle.claim(admit(submission()).pk, runner) is None


def test_timeline_records_every_transition_with_its_note(job, lease, runner):
    lifecycle.requeue(lease, note="the runner died", runner_died=True)
    lifecycle.succeed(lifecycle.claim(job.pk, runner), DONE, [])
    changes = [(line.from_state, line.to_state, line.note) for line in job.transitions.all()]
    assert changes == [
        ("", "queued", ""),
        ("queued", "running", runner.name),
        ("running", "queued", "the runner died"),
        ("queued", "running", runner.name),
        ("running", "succeeded", ""),
    ]


# Impossible transitions


def test_terminal_states_have_no_transitions():
    assert not TRANSITIONS.keys() & TERMINAL


def test_ended_job_cannot_change_state(ended, runner, postings):
    before, posted = Job.objects.values().get(pk=ended.pk), postings(ended)
    lease = Lease(ended.pk, ended.attempt)
    assert lifecycle.claim(ended.pk, runner) is None
    assert lifecycle.cancel(ended.pk) == ended.state
    assert not lifecycle.expire(ended.pk)
    assert not lifecycle.signal(ended.pk, Signal.DISCARD)
    for late in LATE_CALLS:
        with pytest.raises(LeaseLost):
            late(lease)
    assert Job.objects.values().get(pk=ended.pk) == before
    assert postings(ended) == posted


def test_queued_job_cannot_succeed(job):
    with pytest.raises(ImpossibleTransition):
        lifecycle.succeed(Lease(job.pk, 0), DONE, [output_of(job)])
    assert not Output.objects.exists()


def test_running_job_does_not_expire(job, lease):
    assert not lifecycle.expire(job.pk)


# Running jobs


def test_progress_is_written_and_extends_the_lease(job, lease):
    expire_lease(lease)
    assert lifecycle.progress(lease, STEP) is None
    job.refresh_from_db()
    assert (job.step, job.steps, job.images_done, job.batch, job.batch_step) == (5, 20, 1, 1, 5)
    assert job.lease_expires_at > timezone.now()


def test_renewal_returns_the_signal_of_the_client(lease):
    lifecycle.signal(lease.job_id, Signal.INTERRUPT)
    assert lifecycle.renew(lease) == Signal.INTERRUPT


def test_cancellation_is_not_overwritten_by_other_signals(lease):
    lifecycle.cancel(lease.job_id)
    assert not lifecycle.signal(lease.job_id, Signal.SKIP)
    assert lifecycle.pending_signal(lease) == Signal.DISCARD


def test_forwarded_skip_is_cleared(lease):
    lifecycle.signal(lease.job_id, Signal.SKIP)
    lifecycle.skip_passed_on(lease)
    assert lifecycle.pending_signal(lease) is None


def test_clearing_a_skip_keeps_a_later_interrupt(lease):
    lifecycle.signal(lease.job_id, Signal.INTERRUPT)
    lifecycle.skip_passed_on(lease)
    assert lifecycle.pending_signal(lease) == Signal.INTERRUPT


def test_queued_job_accepts_no_signal(job):
    assert not lifecycle.signal(job.pk, Signal.INTERRUPT)


# Fencing

LATE_CALLS = [
    lifecycle.renew,
    lifecycle.pending_signal,
    lifecycle.cancelled,
    lambda lease: lifecycle.progress(lease, STEP),
    lambda lease: lifecycle.requeue(lease, note="late"),
    lambda lease: lifecycle.fail(lease, "internal", "late"),
    lambda lease: lifecycle.succeed(lease, DONE, [output_of(Job.objects.get(pk=lease.job_id))]),
]


@pytest.mark.parametrize("late", LATE_CALLS)
def test_superseded_worker_cannot_change_the_job(late, job, lease, runner, postings):
    lifecycle.requeue(expire_lease(lease), note="the lease expired", expired=True)
    assert lifecycle.claim(job.pk, runner).attempt == 2
    before = Job.objects.values().get(pk=job.pk)
    with pytest.raises(LeaseLost):
        late(lease)
    assert Job.objects.values().get(pk=job.pk) == before
    assert postings(job) == ["reserve"]
    assert not Output.objects.exists()


def test_renewed_lease_is_not_requeued(lease):
    with pytest.raises(LeaseLost):
        lifecycle.requeue(lease, note="the lease expired", expired=True)
    assert lifecycle.renew(lease) is None


# Requeueing


def test_requeue_resets_progress_and_preview(job, lease):
    lifecycle.progress(lease, STEP)
    Preview.objects.create(job=job, jpeg=b"jpeg")
    assert lifecycle.requeue(lease, note="busy") == State.QUEUED
    job.refresh_from_db()
    assert (job.step, job.images_done, job.batch, job.runner, job.lease_expires_at) == (0, 0, 0, None, None)
    assert (job.attempt, job.runner_deaths) == (1, 0)
    assert not Preview.objects.exists()


def test_job_fails_as_poisoned_after_two_runner_deaths(job, lease, runner):
    assert lifecycle.requeue(lease, note="died", runner_died=True) == State.QUEUED
    again = lifecycle.claim(job.pk, runner)
    assert lifecycle.requeue(again, note="died", runner_died=True) == State.FAILED
    job.refresh_from_db()
    assert (job.error_code, job.runner_deaths) == (POISONED, 2)


def test_expired_leases_do_not_poison_a_job_at_once(job, runner):
    for _time in range(3):
        lease = expire_lease(lifecycle.claim(job.pk, runner))
        assert lifecycle.requeue(lease, note="the lease expired", expired=True) == State.QUEUED


@pytest.mark.parametrize("signal", [Signal.DISCARD, Signal.INTERRUPT])
def test_job_with_a_stop_signal_is_not_requeued(signal, lease):
    lifecycle.signal(lease.job_id, signal)
    assert lifecycle.requeue(lease, note="died", runner_died=True) == State.CANCELLED


# Cancelling and expiring


def test_cancelled_queued_job_ends_immediately(job):
    assert lifecycle.cancel(job.pk, "no longer wanted") == State.CANCELLED
    job.refresh_from_db()
    assert job.finished_at is not None
    assert job.transitions.last().note == "no longer wanted"


def test_cancelled_running_job_is_ended_by_its_worker(job, lease):
    assert lifecycle.cancel(job.pk) == State.RUNNING
    assert lifecycle.renew(lease) == Signal.DISCARD
    lifecycle.cancelled(lease)
    job.refresh_from_db()
    assert (job.state, job.signal) == (State.CANCELLED, "")


def test_expired_job_has_an_error_code(job):
    assert lifecycle.expire(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error_code) == (State.EXPIRED, "expired")


def test_preview_is_deleted_when_the_job_ends(job, lease):
    Preview.objects.create(job=job, jpeg=b"jpeg")
    lifecycle.fail(lease, "internal", "It broke.")
    assert not Preview.objects.exists()


# The ledger


def test_every_terminal_state_releases_the_reservation_once(ended, reserved, postings):
    settled = ["settle"] if ended.state == State.SUCCEEDED else []
    assert postings(ended) == ["reserve", "release", *settled]
    assert reserved() == 0


def test_retry_does_not_reserve_again(job, lease, runner, postings):
    lifecycle.requeue(lease, note="busy")
    lifecycle.claim(job.pk, runner)
    assert postings(job) == ["reserve"]


def test_succeeded_job_is_billed_for_the_steps_run(job, lease):
    half = DONE.model_copy(update={"steps_run": 10})
    lifecycle.succeed(lease, half, [output_of(job)], interrupted=True)
    job.refresh_from_db()
    assert job.cost == job.cost_estimate / 2 == Decimal("0.04096")
    assert Posting.objects.get(kind="settle").amount == job.cost
    assert (job.interrupted, job.images_done, job.device_seconds) == (True, 1, 2)


def test_succeeded_job_is_at_its_last_step(job, lease):
    lifecycle.progress(lease, STEP)
    lifecycle.succeed(lease, DONE, [output_of(job)])
    job.refresh_from_db()
    assert (job.step, job.steps) == (20, 20)


def test_interrupted_job_keeps_its_step(job, lease):
    lifecycle.progress(lease, STEP)
    lifecycle.succeed(lease, DONE, [output_of(job)], interrupted=True)
    job.refresh_from_db()
    assert (job.step, job.steps) == (5, 20)


def test_cost_never_exceeds_the_estimate(job, lease):
    lifecycle.succeed(lease, DONE.model_copy(update={"steps_run": 30}), [])
    job.refresh_from_db()
    assert job.cost == job.cost_estimate


@pytest.mark.parametrize(
    "end", [lifecycle.cancelled, lambda lease: lifecycle.requeue(lease, note="the runner died")]
)
def test_timeline_records_who_cancelled_a_running_job(job, lease, end):
    lifecycle.cancel(job.pk, "console: ada")
    end(lease)
    last = job.transitions.last()
    assert (last.to_state, last.note) == (State.CANCELLED, "console: ada")


def test_cancelled_job_is_billed_for_the_reported_steps(job, lease, postings):
    lifecycle.cancelled(lease, DONE.model_copy(update={"steps_run": 5}))
    job.refresh_from_db()
    assert (job.cost, job.device_seconds) == (job.cost_estimate / 4, 2)
    settled = Posting.objects.get(kind="settle")
    assert (settled.amount, settled.images) == (job.cost, 0)


def test_cancelled_job_without_a_report_costs_nothing(job, lease, postings):
    lifecycle.cancelled(lease)
    assert postings(job) == ["reserve", "release"]


def test_failed_job_costs_nothing(job, lease, postings):
    lifecycle.fail(lease, "out_of_memory", "Too large.", DONE)
    job.refresh_from_db()
    assert (job.cost, job.device_seconds) == (0, 2)
    assert postings(job) == ["reserve", "release"]


AFTER_WORK = {
    "succeeded": lambda lease: lifecycle.succeed(lease, DONE, []),
    "failed": lambda lease: lifecycle.fail(lease, "internal", "It broke.", DONE),
    "cancelled": lambda lease: lifecycle.cancelled(lease, DONE),
    "requeued": lambda lease: lifecycle.requeue(lease, note="dropped", done=DONE),
}


@pytest.mark.parametrize("end", AFTER_WORK)
def test_work_counts_as_usage_of_the_source_for_every_outcome(end, job, lease):
    AFTER_WORK[end](lease)
    usage = Usage.objects.get(source=job.source)
    assert (usage.served, usage.work) == (2, pytest.approx(float(job.cost_estimate)))


def test_usage_is_estimated_from_progress_when_the_runner_died(job, lease):
    lifecycle.progress(lease, STEP)
    lifecycle.requeue(lease, note="died", runner_died=True)
    usage = Usage.objects.get(source=job.source)
    assert usage.work == pytest.approx(float(job.cost_estimate) / 4)
    assert usage.served == pytest.approx(usage.work * FIRST_GUESS_S_PER_COST)


def test_job_without_steps_adds_no_usage(job, lease):
    lifecycle.fail(lease, "internal", "It broke.")
    assert not Usage.objects.exists()


def test_usage_halves_after_its_half_life(source):
    now = timezone.now()
    usage = Usage(source=source, served=8, work=4, as_of=now)
    usage.add(1, 1, now + timedelta(seconds=Usage.HALF_LIFE_S))
    assert (usage.served, usage.work) == pytest.approx((5, 3))
