"""Insertion of several jobs in one transaction gives the same results as one insertion after the other."""

from datetime import date, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import translation

from access import account_balances
from access.accounts import MICROS
from access.models import AccessKey, Account, Posting
from jobs.admission import admit, insert
from jobs.admission.idempotency import Idempotency
from jobs.admission.model_choice.resolution import ModelResolver, resolve_all
from jobs.errors import QueueFull, QuotaSpent
from jobs.models import Job, State


@pytest.fixture
def planned(submission, checkpoint):
    """``planned(2, key=...)``: that many planned jobs, as the group commit receives them."""

    def planned(number: int, language: str = "en", **fields) -> list[insert.Planned]:
        result = []
        for _ in range(number):
            request = submission(**fields)
            files = resolve_all(ModelResolver(request.source), request.request)
            result.append(insert.Planned(admit.planned_job(request, files), request, language))
        return result

    return planned


def test_every_job_gets_row_timeline_and_reservation(planned, reserved):
    jobs = insert.insert_all(planned(3, num_inference_steps=10, note="from a test"))
    assert list(Job.objects.order_by("created_at").values_list("pk", flat=True)) == [job.pk for job in jobs]
    for job in jobs:
        assert [(line.to_state, line.note, line.at) for line in job.transitions.all()] == [
            (State.QUEUED, "from a test", job.created_at)
        ]
    assert reserved() == sum(job.cost_estimate for job in jobs) > 0
    call_command("check_ledger")


def test_inserted_job_equals_the_planned_one(planned):
    (job,) = insert.insert_all(planned(1, external_id="mine", received={"prompt": "花"}))
    found = Job.objects.get()
    columns = [field.attname for field in Job._meta.local_concrete_fields]
    assert {name: getattr(found, name) for name in columns} == {name: getattr(job, name) for name in columns}


def test_queue_limit_applies_within_one_transaction(planned, source):
    source.max_queued_jobs = 2
    outcomes = insert.insert_all(planned(3, source=source))
    assert [type(outcome) for outcome in outcomes] == [Job, Job, QueueFull]
    assert Job.objects.count() == 2


def test_queue_limit_of_a_key_applies_within_one_transaction(planned, source, key):
    limited_key = AccessKey.issue(source, max_queued_jobs=1)[0]
    outcomes = insert.insert_all([*planned(1, key=limited_key), *planned(1), *planned(1, key=limited_key)])
    assert [type(outcome) for outcome in outcomes] == [Job, Job, QueueFull]


def test_quota_applies_within_one_transaction(planned, source):
    source.images_per_day = 3
    two_images = planned(2, source=source, num_images=2)
    outcomes = insert.insert_all([*two_images, *planned(1, source=source)])
    assert [type(outcome) for outcome in outcomes] == [Job, QuotaSpent, Job]
    call_command("check_ledger")


def test_limits_are_separate_per_source_within_one_transaction(planned, source, other_source):
    source.max_queued_jobs = 1
    others_key = AccessKey.issue(other_source)[0]
    outcomes = insert.insert_all(
        [
            *planned(2, source=source),
            *planned(2, source=other_source, key=others_key),
            *planned(1, source=other_source, key=None),
        ]
    )
    assert [type(outcome) for outcome in outcomes] == [Job, QueueFull, Job, Job, Job]
    call_command("check_ledger")


def test_refusals_are_in_the_language_of_their_request(planned, source):
    source.max_queued_jobs = 0
    with translation.override("en"):
        english, chinese = insert.insert_all(
            [*planned(1, "en", source=source), *planned(1, "zh-hans", source=source)]
        )
    assert "in the queue" in english.message
    assert "排队" in chinese.message


def test_concurrent_requests_create_one_job_each(together, submission):
    jobs = together(*[lambda: admit.admit(submission(num_inference_steps=5))] * 8)
    assert len({job.pk for job in jobs}) == Job.objects.count() == 8
    call_command("check_ledger")


def test_concurrent_requests_with_one_key_create_one_job_beside_others(together, submission):
    again = submission(idempotency=Idempotency("once", "f" * 64))
    calls = [lambda: admit.admit(again)] * 3 + [lambda: admit.admit(submission())] * 3
    jobs = together(*calls)
    assert len({job.pk for job in jobs[:3]}) == 1
    assert len({job.pk for job in jobs}) == Job.objects.count() == 4


@pytest.mark.parametrize("days", [(0, 0), (0, 1), (1, 0), (0, 31), (31, 30), (31, 0), (0, 400)])
def test_account_equals_its_postings_in_any_order_of_days(source, days):
    with transaction.atomic():
        accounts = account_balances.lock([(source.pk, None)])
        for position, offset in enumerate(days):
            day, images, micros = date(2026, 1, 15) + timedelta(days=offset), 2 + position, 1000 + position
            amount = Decimal(micros) / MICROS
            Posting.objects.create(
                source=source, job_id=uuid4(), kind="reserve", amount=amount, images=images, day=day
            )
            account_balances.book(accounts, source.pk, None, day=day, images=images, micros=micros)
        account_balances.save(accounts)
    stored, summed = (
        Account.objects.get(),
        account_balances.summed(*account_balances.owners(source.pk, None)[0]),
    )
    columns = [field.attname for field in Account._meta.local_concrete_fields]
    assert {name: getattr(stored, name) for name in columns} == {
        name: getattr(summed, name) for name in columns
    }


def test_account_and_estimate_agree_to_the_millionth(planned):
    (job,) = insert.insert_all(planned(1, width=72, num_inference_steps=7))
    assert Account.objects.get(owner=f"source {job.source_id}").cost_total == job.cost_estimate * Decimal(
        10**6
    )
