"""Usage charts of a source: its last thirty days."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from jobs.admission.admit import admit
from jobs.billing.daily_usage import by_day
from jobs.models import Job, State

pytestmark = pytest.mark.postgres


@pytest.fixture
def add_job(submission):
    def add_job(days_ago=0, state=State.SUCCEEDED, **fields):
        job = admit(submission(**fields))
        created_at = timezone.now() - timedelta(days=days_ago)
        Job.objects.filter(pk=job.pk).update(
            state=state, created_at=created_at, images_done=2, cost=Decimal("1.5")
        )

    return add_job


def test_each_day_has_its_jobs_images_and_cost(add_job, source):
    add_job()
    add_job()
    add_job(days_ago=3, state=State.FAILED)
    days = by_day(source)
    assert len(days) == 30
    assert (days[-1].jobs, days[-1].images, days[-1].cost) == (2, 4, Decimal(3))
    assert (days[-4].jobs, days[-4].failed, days[-4].images) == (1, 1, 0)
    assert sum(day.jobs for day in days) == 3


def test_older_days_and_other_sources_are_not_counted(add_job, source, other_source):
    add_job(days_ago=40)
    add_job(source=other_source, key=None)
    assert not any(day.jobs for day in by_day(source))


def test_number_of_queries_is_bounded(ops, add_job, source, django_assert_max_num_queries):
    for _number in range(3):
        add_job()
    with django_assert_max_num_queries(8):
        page = ops.get(f"/admin/access/businesssource/{source.pk}/usage/")
    assert [chart["total"] for chart in page.context["charts"]] == [3, 6, Decimal("4.5")]
