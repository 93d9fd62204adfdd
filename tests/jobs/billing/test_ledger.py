"""Jobs, postings and accounts tell the same story, whatever happens in whatever order; and no limit is ever passed."""

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
from jobs.admission.model_resolution import ModelResolver, resolve_all
from jobs.admission.submission import Submission
from jobs.billing import quotas
from jobs.billing.ledger_check import disagreements, repair
from jobs.errors import BudgetSpent, ImpossibleTransition, QuotaSpent, Refused
from jobs.execution import lifecycle
from jobs.execution.lifecycle import Lease
from jobs.models import Job, Lane, State

pytestmark = pytest.mark.slow

ANY_ORDER = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Crash(Exception):
    """The process dies before its transaction is over."""


def planned(asked: Submission) -> insert.Planned:
    return insert.Planned(
        planned_job(asked, resolve_all(ModelResolver(asked.source), asked.request)), asked, "en"
    )


class Company:
    """A source with two keys, all of them limited, and what may happen to its jobs."""

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
        """Several requests whose jobs are inserted in one transaction; the refused among them are no hindrance."""
        asked = [
            self.submission(key=self.keys[(number + one) % 3], num_images=1 + one % 2) for one in range(3)
        ]
        insert.insert_all([planned(each) for each in asked])

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

    def late(self, number: int) -> None:
        """Somebody who lost a job long ago."""
        if job := Job.objects.order_by("created_at", "pk").first():
            lifecycle.succeed(Lease(job.pk, job.attempt - 1), self._done(number), [])

    def midnight(self, number: int) -> None:
        self.clock.pass_by(timedelta(days=1 + 30 * (number % 2)))

    def _one(self, state: State, number: int) -> Job | None:
        jobs = list(Job.objects.filter(state=state).order_by("created_at", "pk"))
        return jobs[number % len(jobs)] if jobs else None

    def _lease(self, number: int) -> Lease | None:
        job = self._one(State.RUNNING, number)
        return Lease(job.pk, job.attempt) if job else None

    def _done(self, number: int) -> Done:
        return Done(engine_seconds=1, device_seconds=1, steps_run=number * 3)

    def must_be_within_limits(self) -> None:
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

    def pass_by(self, time: timedelta) -> None:
        self.ahead += time


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def company(submission, runner, source, key, clock) -> Company:
    limits = {
        "images_per_day": 5,
        "images_per_month": 9,
        "cost_per_day": Decimal("0.3"),
        "max_queued_jobs": 4,
    }
    for field, limit in (limits | {"total_budget": Decimal("1.1")}).items():
        setattr(source, field, limit)
    source.save()
    narrow = AccessKey.issue(source, images_per_day=2, cost_per_month=Decimal("0.2"), max_queued_jobs=2)[0]
    key.source = narrow.source = source
    return Company(submission, runner, source, [key, narrow, None], clock)


HAPPENINGS = [name for name in vars(Company) if not name.startswith(("_", "must"))]
A_FEW = st.lists(
    st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 7), st.integers(0, 9)), min_size=15, max_size=40
)


@ANY_ORDER
@given(happenings=A_FEW)
def test_whatever_happens_the_books_agree_and_no_limit_is_passed(company, happenings):
    company.clock.ahead = timedelta()
    with transaction.atomic():
        for name, number, luck in happenings:
            try:
                with transaction.atomic():
                    getattr(company, name)(number)
                    if luck == 0:
                        raise Crash
            except (Refused, ImpossibleTransition, Crash):
                pass
            company.must_be_within_limits()
        assert list(disagreements()) == []
        transaction.set_rollback(True)


def test_what_ends_on_a_later_day_is_counted_on_its_own(company, runner, source):
    company.admit(0)
    old = Job.objects.get()
    company.clock.pass_by(timedelta(days=1))
    company.admit(0)
    lifecycle.cancel(old.pk)
    today = Account.objects.get(pk=f"source {source.pk}").on(timezone.localdate())
    assert (today.images_day, today.images_total) == (1, 1)
    assert list(disagreements()) == []


# At the same time


@pytest.mark.parametrize("jobs_before", [0, 1])
@pytest.mark.parametrize("holder", ["source", "key"])
@pytest.mark.parametrize(("limit", "a_job"), [("images_per_day", 1), ("total_budget", Decimal("0.04096"))])
def test_of_eight_requests_for_the_last_unit_exactly_one_wins(
    together, submission, source, key, holder, limit, a_job, jobs_before
):
    wanted = submission(num_inference_steps=10)
    for _time in range(jobs_before):
        admit(wanted)
    setattr(source if holder == "source" else key, limit, a_job * (jobs_before + 1))

    def ask() -> bool:
        try:
            admit(wanted)
        except (QuotaSpent, BudgetSpent):
            return False
        return True

    assert together(*[ask] * 8).count(True) == 1
    assert Job.objects.count() == jobs_before + 1
    assert list(disagreements()) == []


def test_ends_and_admissions_at_the_same_time_lose_no_unit(together, submission, source, runner):
    jobs = [admit(submission()) for _time in range(6)]
    leases = [lifecycle.claim(job.pk, runner) for job in jobs]
    done = Done(engine_seconds=1, device_seconds=1, steps_run=20)
    ends = [lambda lease=lease: lifecycle.succeed(lease, done, []) for lease in leases]
    together(*ends, *[lambda: admit(submission())] * 4)
    assert list(disagreements()) == []


# The command


def test_agreement_is_said(job, capsys):
    call_command("check_ledger")
    assert "agree" in capsys.readouterr().out


def test_a_wrong_account_is_named_and_repaired(job, source, capsys):
    Account.objects.filter(pk=f"source {source.pk}").update(cost_total=7)
    with pytest.raises(CommandError, match="1 disagreements"):
        call_command("check_ledger")
    assert f"source {source.pk}: cost_total is 7, its postings say 81920" in capsys.readouterr().out
    call_command("check_ledger", "--repair")
    assert repair() == []


def test_a_posting_that_is_missing_is_named(job, capsys):
    lifecycle.cancel(job.pk)
    Posting.objects.filter(kind="release").delete()
    with pytest.raises(CommandError):
        call_command("check_ledger", "--repair")
    assert f"job {job.pk} (cancelled) has ended and still holds something" in capsys.readouterr().out


def test_a_job_that_was_billed_otherwise_than_it_says_is_named(job, lease, capsys):
    lifecycle.succeed(lease, Done(engine_seconds=1, device_seconds=1, steps_run=20), [])
    Job.objects.update(cost=9)
    with pytest.raises(CommandError):
        call_command("check_ledger")
    assert f"job {job.pk} (succeeded) has another cost than was settled" in capsys.readouterr().out


def test_an_account_of_before_accounts_is_made_of_the_postings(job, submission, source):
    Account.objects.all().delete()
    admit(submission(lane=Lane.BULK))
    assert Account.objects.get(pk=f"source {source.pk}").images_total == 2
    assert list(disagreements()) == []
