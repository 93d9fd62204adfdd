"""Jobs, postings and accounts agree after any sequence of events, and no limit is exceeded."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access import account_balances
from access.models import AccessKey, Account, Posting
from gpu_runner.protocol import Done, Progress
from jobs.admission import insert
from jobs.admission.admit import admit, planned_job
from jobs.admission.model_choice.resolution import ModelResolver, resolve_all
from jobs.admission.submission import Submission
from jobs.billing import quotas
from jobs.billing.ledger_check import inconsistencies, repair
from jobs.errors import BudgetSpent, ImpossibleTransition, QuotaSpent, Refused
from jobs.execution import lifecycle
from jobs.execution.lifecycle import Lease
from jobs.models import Job, Lane, State

pytestmark = pytest.mark.slow

ANY_ORDER = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Crash(Exception):
    """The process dies before its transaction commits."""


def planned(request: Submission) -> insert.Planned:
    return insert.Planned(
        planned_job(request, resolve_all(ModelResolver(request.source), request.request)), request, "en"
    )


class Tenant:
    """A source with two limited keys, and the events that can happen to its jobs."""

    def __init__(self, submission, runner, source, keys, clock) -> None:
        self.submission, self.runner, self.source, self.keys, self.clock = (
            submission,
            runner,
            source,
            keys,
            clock,
        )

    def admit(self, number: int) -> None:
        admit(self.submission(key=self.keys[number % 3], num_images=1 + number % 2, num_inference_steps=10))

    def admit_together(self, number: int) -> None:
        """Insert several jobs in one transaction; refused ones do not affect the others."""
        requests = [
            self.submission(key=self.keys[(number + one) % 3], num_images=1 + one % 2) for one in range(3)
        ]
        insert.insert_all([planned(each) for each in requests])

    def claim(self, number: int) -> None:
        if job := self._one(State.QUEUED, number):
            lifecycle.claim(job.pk, self.runner)

    def progress(self, number: int) -> None:
        if lease := self._lease(number):
            lifecycle.progress(lease, Progress(step=number, steps=10))

    def succeed(self, number: int) -> None:
        if lease := self._lease(number):
            lifecycle.succeed(lease, self._done(number), [])

    def fail(self, number: int) -> None:
        if lease := self._lease(number):
            lifecycle.fail(lease, ("internal", "nsfw")[number % 2], "It broke.", self._done(number))

    def cancel(self, number: int) -> None:
        if job := self._one(State.QUEUED, number):
            lifecycle.cancel(job.pk)
        elif lease := self._lease(number):
            lifecycle.cancel(lease.job_id)
            lifecycle.cancelled(lease, self._done(number) if number % 2 else None)

    def expire(self, number: int) -> None:
        if job := self._one(State.QUEUED, number):
            lifecycle.expire(job.pk)

    def requeue(self, number: int) -> None:
        if lease := self._lease(number):
            lifecycle.requeue(lease, note="lost", runner_died=number % 2 == 0)

    def late_result(self, number: int) -> None:
        """Result of a worker that has lost its lease."""
        if job := Job.objects.order_by("created_at", "pk").first():
            lifecycle.succeed(Lease(job.pk, job.attempt - 1), self._done(number), [])

    def next_day(self, number: int) -> None:
        self.clock.advance(timedelta(days=1 + 30 * (number % 2)))

    def _one(self, state: State, number: int) -> Job | None:
        jobs = list(Job.objects.filter(state=state).order_by("created_at", "pk"))
        return jobs[number % len(jobs)] if jobs else None

    def _lease(self, number: int) -> Lease | None:
        job = self._one(State.RUNNING, number)
        return Lease(job.pk, job.attempt) if job else None

    def _done(self, number: int) -> Done:
        return Done(engine_seconds=1, device_seconds=1, steps_run=number * 3)

    def check_limits(self) -> None:
        for key in self.keys:
            accounts = account_balances.read(self.source.pk, key and key.pk)
            for allowance in quotas.every_allowance(self.source, key, accounts, timezone.now()):
                assert 0 <= allowance.used <= allowance.limit, allowance
            for account in accounts.values():
                assert min(account.images_total, account.cost_total, account.cost_day) >= 0


class Clock:
    def __init__(self, monkeypatch) -> None:
        self.ahead, now = timedelta(), timezone.now
        monkeypatch.setattr(timezone, "now", lambda: now() + self.ahead)

    def advance(self, time: timedelta) -> None:
        self.ahead += time


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def tenant(submission, runner, source, key, clock) -> Tenant:
    limits = {
        "images_per_day": 5,
        "images_per_month": 9,
        "cost_per_day": Decimal("0.3"),
        "max_queued_jobs": 4,
    }
    for field, limit in (limits | {"total_budget": Decimal("1.1")}).items():
        setattr(source, field, limit)
    source.save()
    limited_key = AccessKey.issue(source, images_per_day=2, cost_per_month=Decimal("0.2"), max_queued_jobs=2)[
        0
    ]
    key.source = limited_key.source = source
    return Tenant(submission, runner, source, [key, limited_key, None], clock)


EVENTS = [name for name in vars(Tenant) if not name.startswith(("_", "check"))]
SEQUENCES = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.integers(0, 7), st.integers(0, 9)), min_size=15, max_size=40
)


@ANY_ORDER
@given(events=SEQUENCES)
def test_ledger_is_consistent_and_limits_hold_after_any_events(tenant, events):
    tenant.clock.ahead = timedelta()
    with transaction.atomic():
        for name, number, chance in events:
            try:
                with transaction.atomic():
                    getattr(tenant, name)(number)
                    if chance == 0:
                        raise Crash
            except (Refused, ImpossibleTransition, Crash):
                pass
            tenant.check_limits()
        assert list(inconsistencies()) == []
        transaction.set_rollback(True)


def test_job_ended_on_a_later_day_counts_on_its_day_of_admission(tenant, runner, source):
    tenant.admit(0)
    old = Job.objects.get()
    tenant.clock.advance(timedelta(days=1))
    tenant.admit(0)
    lifecycle.cancel(old.pk)
    today = Account.objects.get(pk=f"source {source.pk}").on(timezone.localdate())
    assert (today.images_day, today.images_total) == (1, 1)
    assert list(inconsistencies()) == []


# Concurrency


@pytest.mark.parametrize("jobs_before", [0, 1])
@pytest.mark.parametrize("holder", ["source", "key"])
@pytest.mark.parametrize(
    ("limit", "cost_of_a_job"), [("images_per_day", 1), ("total_budget", Decimal("0.04096"))]
)
def test_one_of_eight_concurrent_requests_gets_the_last_unit(
    together, submission, source, key, holder, limit, cost_of_a_job, jobs_before
):
    request = submission(num_inference_steps=10)
    for _time in range(jobs_before):
        admit(request)
    setattr(source if holder == "source" else key, limit, cost_of_a_job * (jobs_before + 1))

    def try_to_admit() -> bool:
        try:
            admit(request)
        except (QuotaSpent, BudgetSpent):
            return False
        return True

    assert together(*[try_to_admit] * 8).count(True) == 1
    assert Job.objects.count() == jobs_before + 1
    assert list(inconsistencies()) == []


def test_concurrent_ends_and_admissions_keep_the_ledger_consistent(together, submission, source, runner):
    jobs = [admit(submission()) for _time in range(6)]
    leases = [lifecycle.claim(job.pk, runner) for job in jobs]
    done = Done(engine_seconds=1, device_seconds=1, steps_run=20)
    ends = [lambda lease=lease: lifecycle.succeed(lease, done, []) for lease in leases]
    together(*ends, *[lambda: admit(submission())] * 4)
    assert list(inconsistencies()) == []


# The command


def test_consistent_ledger_is_reported(job, capsys):
    call_command("check_ledger")
    assert "agree" in capsys.readouterr().out


def test_wrong_account_is_reported_and_repaired(job, source, capsys):
    Account.objects.filter(pk=f"source {source.pk}").update(cost_total=7)
    with pytest.raises(CommandError, match="1 inconsistencies"):
        call_command("check_ledger")
    assert f"source {source.pk}: cost_total is 7, sum of the postings is 81920" in capsys.readouterr().out
    call_command("check_ledger", "--repair")
    assert repair() == []


def test_missing_posting_is_reported(job, capsys):
    lifecycle.cancel(job.pk)
    Posting.objects.filter(kind="release").delete()
    with pytest.raises(CommandError):
        call_command("check_ledger", "--repair")
    assert (
        f"job {job.pk} (cancelled) has ended, but its reservation is not released" in capsys.readouterr().out
    )


def test_job_with_a_cost_other_than_settled_is_reported(job, lease, capsys):
    lifecycle.succeed(lease, Done(engine_seconds=1, device_seconds=1, steps_run=20), [])
    Job.objects.update(cost=9)
    with pytest.raises(CommandError):
        call_command("check_ledger")
    assert f"job {job.pk} (succeeded) has a cost other than the settled amount" in capsys.readouterr().out


def test_missing_account_is_created_from_the_postings(job, submission, source):
    Account.objects.all().delete()
    admit(submission(lane=Lane.BULK))
    assert Account.objects.get(pk=f"source {source.pk}").images_total == 2
    assert list(inconsistencies()) == []
